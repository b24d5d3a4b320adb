"""The prompt of a completion: a text or its tokens, or several of either."""

from typing import TypeAlias

from meshgate.runtime.errors import InvalidRequestError

Tokens: TypeAlias = list[int]
Prompt: TypeAlias = str | list[str | int | Tokens] | None
"""As JSON has it. A model that is given no prompt begins a new document."""


def prompts(given: Prompt) -> tuple[str | tuple[int, ...], ...]:
    """Each prompt by itself; each of them is answered by as many choices as are asked for.

    Raises:
        InvalidRequestError: It is a list of different things.
    """
    if given is None:
        return ("",)
    if isinstance(given, str):
        return (given,)
    texts = tuple(item for item in given if isinstance(item, str))
    tokens = tuple(item for item in given if isinstance(item, int))
    lists = tuple(tuple(item) for item in given if isinstance(item, list))
    if not given or len(texts) not in {0, len(given)} or len(tokens) not in {0, len(given)}:
        raise wrong_prompt()
    return texts or lists or (tokens,)


def wrong_prompt() -> InvalidRequestError:
    """Return the error for a prompt that is none."""
    return InvalidRequestError(
        "Invalid type for 'prompt': expected a string, an array of strings, an array of integers,"
        " or an array of arrays of integers.",
        field="prompt",
    )
