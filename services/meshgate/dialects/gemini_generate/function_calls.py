"""Calls of functions that are told in fragments, gathered: Gemini tells each in one piece."""

from msgspec import Raw, Struct

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.gemini_generate.contents import object_of
from meshgate.dialects.neutral import ToolCall, ToolCallDelta
from meshgate.dialects.plain_calls import arguments_of

LIMIT_BYTES = 8 * 1024 * 1024


class _Open(Struct):
    id: str
    name: str
    arguments: bytearray
    checked_bytes: int = 0

    def is_whole(self) -> bool:
        """Whether the arguments are an object by now."""
        if len(self.arguments) == self.checked_bytes:
            return False
        self.checked_bytes = len(self.arguments)
        return self.arguments.rstrip().endswith(b"}") and object_of(self._text()) is not None

    def written(self) -> dict[str, object]:
        return write_call(ToolCall(id=self.id, name=self.name, arguments_json=self._text()))

    def _text(self) -> str:
        return self.arguments.decode(errors="replace")


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

    def whole(self) -> list[dict[str, object]]:
        """The parts that tell those before the first that may go on; none of them is kept."""
        told = []
        while self._open and (first := next(iter(self._open.values()))).is_whole():
            told.append(first.written())
            del self._open[next(iter(self._open))]
        return told

    def rest(self) -> list[dict[str, object]]:
        """The parts that tell all of them, in order; none of them is kept."""
        calls, self._open = self._open, {}
        return [call.written() for call in calls.values()]


def write_call(call: ToolCall) -> dict[str, object]:
    """The part that tells a call."""
    identity = {"id": call.id} if call.id else {}
    return {"functionCall": {**identity, "name": call.name, "args": Raw(arguments_of(call))}}
