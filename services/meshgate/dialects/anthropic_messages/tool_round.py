"""The round of tool calls that a request goes on with, and whether it may go on thinking.

Who thinks by a budget must have begun the round with a thought, and Anthropic wants it back, signed:
it refuses a round that thinks and begins with something else. A caller that has not kept the thought,
or that had the calls from another upstream, cannot give it; such a round is finished without thinking,
as Anthropic advises, and the next one thinks again.

Source: https://platform.claude.com/docs/en/build-with-claude/extended-thinking ("Preserving thinking
blocks", "Toggling thinking modes in conversations").
"""

from collections.abc import Mapping, Sequence
from typing import Any

_THOUGHTS = frozenset({"thinking", "redacted_thinking"})


def lacks_thought(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the messages end within a round that did not begin with a thought."""
    first: Any = None
    for message in reversed(messages):
        kinds = _kinds(message)
        if message["role"] == "assistant":
            first = kinds
        elif "tool_result" not in kinds:
            break
    return bool(first) and "tool_result" in _kinds(messages[-1]) and first[0] not in _THOUGHTS


def _kinds(message: Mapping[str, Any]) -> list[str]:
    content = message["content"]
    return ["text"] if isinstance(content, str) else [block["type"] for block in content]
