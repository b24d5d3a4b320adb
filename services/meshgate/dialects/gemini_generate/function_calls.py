"""Calls of functions that are told in fragments, gathered: Gemini tells each in one piece."""

from collections.abc import Iterator

from msgspec import Raw, Struct

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.neutral import ToolCall, ToolCallDelta
from meshgate.dialects.plain_calls import arguments_of

LIMIT_BYTES = 8 * 1024 * 1024


class _Open(Struct):
    id: str
    name: str
    arguments: bytearray


class GatheredCalls:
    """The calls of a stream that are not told yet. All of them together are bounded.

    Args:
        limit_bytes: The most that their arguments may take.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._open: dict[int, _Open] = {}

    def take(self, delta: ToolCallDelta) -> None:
        """Take a fragment.

        Raises:
            MalformedAnswerError: It is more than is gathered, or goes on with a call that was told.
        """
        call = self._open.get(delta.index)
        if call is None:
            if not delta.name:
                raise MalformedAnswerError("a call goes on after its end")
            call = self._open[delta.index] = _Open(delta.id, delta.name, bytearray())
        call.arguments += delta.arguments_fragment.encode(errors="replace")
        if sum(len(each.arguments) for each in self._open.values()) > self._limit_bytes:
            raise MalformedAnswerError("the arguments of calls are too long")

    def told(self) -> Iterator[dict[str, object]]:
        """The parts that tell them, in order; none of them is kept."""
        calls, self._open = self._open, {}
        for call in calls.values():
            yield write_call(
                ToolCall(
                    id=call.id,
                    name=call.name,
                    arguments_json=call.arguments.decode(errors="replace"),
                )
            )


def write_call(call: ToolCall) -> dict[str, object]:
    """The part that tells a call."""
    identity = {"id": call.id} if call.id else {}
    return {"functionCall": {**identity, "name": call.name, "args": Raw(arguments_of(call))}}
