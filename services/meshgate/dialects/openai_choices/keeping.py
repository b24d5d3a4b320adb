"""What requests for choices are alike, and which answers to them are worth keeping."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.canonical import CanonicalRequest, members_of, written
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.openai_choices.finish_reason import read_finish_reason

# How the answer travels, and what only tells the provider who asked.
_WITHOUT = frozenset({"stream", "stream_options", "user", "metadata"})


class Choice(Struct, kw_only=True, gc=False):
    """A choice of a plain answer."""

    finish_reason: str | None = None


C = TypeVar("C", bound=Choice)


class Answer(Struct, Generic[C], gc=False):
    """A plain answer."""

    choices: Annotated[list[C], Meta(min_length=1)]


def canonical(body: bytes, tells_alike: Callable[[dict[str, Any]], bool]) -> CanonicalRequest:
    """A request in its one form; `tells_alike` looks at its members as `CanonicalRequest` wants it.

    Raises:
        NoCanonicalFormError: It has none.
    """
    members = members_of(body)
    kept = {name: value for name, value in members.items() if name not in _WITHOUT}
    return CanonicalRequest(written(kept), tells_alike=tells_alike(members))


def asks_for_none(
    members: Mapping[str, Any], inexpressible: Mapping[str, tuple[bytes, ...]]
) -> bool:
    """Whether none of these members is there, but with a value that asks for nothing."""
    return all(
        members.get(name) is None or written(members[name]) in harmless
        for name, harmless in inexpressible.items()
    )


def good_end(
    body: bytes, decoder: msgspec.json.Decoder[Answer[C]], is_good: Callable[[C], bool]
) -> FinishReason | None:
    """How a plain answer ended; None if one of its choices is not good, or it cannot be read."""
    try:
        choices = decoder.decode(body).choices
    except UNREADABLE:
        return None
    if all(is_good(choice) for choice in choices):
        return read_finish_reason(choices[0].finish_reason)
    return None
