"""Streamed messages whose end tells what they have cost."""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.anthropic_messages import events
from meshgate.dialects.anthropic_messages.usage import write_counts
from meshgate.dialects.neutral import Usage


class _Kind(Struct, gc=False):
    type: str


_KIND = msgspec.json.Decoder(_Kind)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ENDS = frozenset({"message_delta", "message_stop"})


class CostedStream:
    """Holds back the end of one stream, from the usage on, until its cost is known.

    The cost stands beside the usage, in a member of the gateway's own: `meshgate.cost_usd`.
    """

    def __init__(self) -> None:
        self._held: list[sse.Event] = []

    def take(self, chunk: bytes) -> bytes:
        """What may go to the caller of a chunk: whole events."""
        if not self._held and b"message_" not in chunk:
            return chunk
        passed = []
        for event in sse.EventReader().feed(chunk):
            if _kind_of(event) in _ENDS:
                self._held.append(event)
            else:
                passed += [self.rest(), sse.write(event)]  # it was not the end
        return b"".join(passed)

    def rest(self) -> bytes:
        """What is held back, as it came."""
        held, self._held = self._held, []
        return b"".join(map(sse.write, held))

    def ending(self, usage: Usage | None, cost_usd: str | None) -> bytes:
        """The end.

        Args:
            usage: What the answer consumed, if that is known.
            cost_usd: What it has cost, if that is known.
        """
        told = [event for event in self._held if _kind_of(event) == "message_delta"]
        if not told:
            counts = write_counts(usage or Usage())
            told = sse.EventReader().feed(events.message_delta("end_turn", "", counts))
        if cost_usd is not None:
            told[-1] = sse.Event(_with_cost(told[-1].data, cost_usd), told[-1].name)
        self._held = []
        return b"".join(map(sse.write, told)) + events.MESSAGE_STOP


def _kind_of(event: sse.Event) -> str:
    try:
        return _KIND.decode(event.data).type
    except UNREADABLE:
        return ""


def _with_cost(data: bytes, cost_usd: str) -> bytes:
    members = _MEMBERS.decode(data)
    members["meshgate"] = Raw(msgspec.json.encode({"cost_usd": cost_usd}))
    return msgspec.json.encode(members)
