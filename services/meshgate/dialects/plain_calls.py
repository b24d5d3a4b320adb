"""Calls of tools for callers whose dialect knows arguments only that are a JSON object.

An answer is paid for when it comes, so what a call says is told in the nearest legal form, rather than
be an error:

- The text of a custom tool, which no such caller can have asked for, becomes the argument `input`.
- Arguments that are no JSON object, as of a model that had no tokens left or wrote them wrongly, become
  the argument `INVALID_JSON`, as Anthropic documents it for such calls in a conversation
  (platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming).
"""

from collections.abc import Iterable

import msgspec
from msgspec import Raw, structs

from meshgate.dialects.neutral import ChatEvent, ToolCall, ToolCallDelta

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_INPUT = "input"
_INVALID = "INVALID_JSON"
_BEGIN, _END = f'{{"{_INPUT}":"', '"}'


def arguments_of(call: ToolCall) -> bytes:
    """The arguments of a call as a JSON object."""
    if call.is_custom:
        return msgspec.json.encode({_INPUT: call.arguments_json})
    said = call.arguments_json.strip() or "{}"
    try:
        _MEMBERS.decode(said)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return msgspec.json.encode({_INVALID: call.arguments_json})
    return said.encode()


class PlainCalls:
    """Turns the custom calls of one stream, fragment by fragment; they end when no call goes on."""

    def __init__(self) -> None:
        self._open: dict[int, None] = {}

    def take(self, event: ChatEvent) -> Iterable[ChatEvent]:
        """The events that say the same."""
        if isinstance(event, ToolCallDelta):
            return (self._plain(event),)
        if not self._open:
            return (event,)
        ends = [ToolCallDelta(index=index, arguments_fragment=_END) for index in self._open]
        self._open.clear()
        return (*ends, event)

    def _plain(self, delta: ToolCallDelta) -> ToolCallDelta:
        is_known = delta.index in self._open
        if not (is_known or delta.is_custom):
            return delta
        self._open[delta.index] = None
        text = msgspec.json.encode(delta.arguments_fragment)[1:-1].decode()
        fragment = text if is_known else _BEGIN + text
        return structs.replace(delta, arguments_fragment=fragment, is_custom=False)
