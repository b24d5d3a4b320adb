"""Streams of generated content whose end tells what they have cost."""

import msgspec
from msgspec import Raw

from meshgate.dialects import sse
from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.gemini_generate import usage as usage_metadata
from meshgate.dialects.neutral import Usage

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_FINISH = b'"finishReason"'


class CostedStream:
    """Holds back the last chunk, which says why the answer ends, until its cost is known."""

    def __init__(self) -> None:
        self._held: list[sse.Event] = []

    def take(self, chunk: bytes) -> bytes:
        """What may go to the caller of a chunk: whole events."""
        if not self._held and _FINISH not in chunk:
            return chunk
        passed = []
        for event in sse.EventReader().feed(chunk):
            if _FINISH not in event.data:
                passed += [self.rest(), sse.write(event)]
                continue
            passed.append(self.rest())
            self._held.append(event)
        return b"".join(passed)

    def rest(self) -> bytes:
        """What is held back, as it came."""
        held, self._held = self._held, []
        return b"".join(map(sse.write, held))

    def ending(self, usage: Usage | None, cost_usd: str | None) -> bytes:
        """The end: with the usage, whether the upstream has told it or not.

        Args:
            usage: What the answer consumed, if that is known.
            cost_usd: What it has cost, if that is known.
        """
        if not self._held or cost_usd is None:
            return self.rest()
        last = self._held.pop()
        return self.rest() + sse.write(sse.Event(_completed(last.data, usage, cost_usd), last.name))


def _completed(data: bytes, usage: Usage | None, cost_usd: str) -> bytes:
    try:
        members = _MEMBERS.decode(data)
    except UNREADABLE:
        return data
    if usage is not None and "usageMetadata" not in members:
        members["usageMetadata"] = Raw(msgspec.json.encode(usage_metadata.write(usage)))
    members["meshgate"] = Raw(msgspec.json.encode({"cost_usd": cost_usd}))
    return msgspec.json.encode(members)
