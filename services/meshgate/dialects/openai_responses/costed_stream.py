"""Streamed responses whose end tells what they have cost."""

import msgspec
from msgspec import Raw

from meshgate.dialects import sse
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_responses import usage as usage_object
from meshgate.dialects.openai_responses import wire
from meshgate.dialects.openai_responses.bounds import EVENT_LIMIT_BYTES

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_NO_USAGE = (b"", b"null")


class CostedStream:
    """Holds back the event that ends a response until its cost is known.

    The cost stands beside the usage, in the member `meshgate` of the response.
    """

    def __init__(self) -> None:
        self._end: sse.Event | None = None

    def take(self, chunk: bytes) -> bytes:
        """What may go to the caller of a chunk: whole events."""
        if self._end is None and not any(end.encode() in chunk for end in wire.ENDS):
            return chunk
        passed = []
        for event in sse.EventReader(EVENT_LIMIT_BYTES).feed(chunk):
            if self._end is None and wire.type_of(event.data, event.name) in wire.ENDS:
                self._end = event
            else:
                passed += [self.rest(), sse.write(event)]  # it was not the end
        return b"".join(passed)

    def rest(self) -> bytes:
        """What is held back, as it came."""
        end, self._end = self._end, None
        return b"" if end is None else sse.write(end)

    def ending(self, usage: Usage | None, cost_usd: str | None) -> bytes:
        """The end: with the usage, whether the upstream has told it or not.

        Args:
            usage: What the answer consumed, if that is known.
            cost_usd: What it has cost, if that is known.
        """
        end, self._end = self._end, None
        if end is None:
            return b""
        members = _MEMBERS.decode(end.data)
        response = _MEMBERS.decode(members["response"])
        if usage is not None and bytes(response.get("usage", Raw())) in _NO_USAGE:
            response["usage"] = Raw(msgspec.json.encode(usage_object.write(usage)))
        if cost_usd is not None:
            response["meshgate"] = Raw(msgspec.json.encode({"cost_usd": cost_usd}))
        members["response"] = Raw(msgspec.json.encode(response))
        return sse.write(sse.Event(msgspec.json.encode(members), end.name))
