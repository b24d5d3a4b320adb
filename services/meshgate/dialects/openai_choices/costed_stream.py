"""Streams of choices whose end tells what they have cost."""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_choices.chunks import ChunkForm, Identity

_DONE = b"[DONE]"
_NO_USAGE = (b"", b"null")


class _Chunk(Struct, gc=False):
    choices: list[Raw]
    usage: Raw = Raw()
    id: str | None = None
    model: str | None = None
    created: int | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


class CostedStream:
    """Holds back the end of one stream, from the usage on, until its cost is known.

    Args:
        form: Of its chunks.
    """

    def __init__(self, form: ChunkForm) -> None:
        self._form = form
        self._held: list[sse.Event] = []
        self._last = b""

    def take(self, chunk: bytes) -> bytes:
        """What may go to the caller of a chunk: whole events."""
        if not self._held and b'"usage"' not in chunk and _DONE not in chunk:
            self._last = chunk
            return chunk
        passed = []
        for event in sse.EventReader().feed(chunk):
            if event.data == _DONE or _is_usage(event.data):
                self._held.append(event)
                continue
            passed += [self.rest(), sse.write(event)]  # it was not the end
            self._last = passed[-1]
        return b"".join(passed)

    def rest(self) -> bytes:
        """What is held back, as it came."""
        held, self._held = self._held, []
        return b"".join(map(sse.write, held))

    def ending(self, usage: Usage | None, cost_usd: str | None) -> bytes:
        """The end: with the usage, whether the upstream has told it in a chunk or not.

        Args:
            usage: What the answer consumed, if that is known.
            cost_usd: What it has cost, if that is known.
        """
        usages = [event for event in self._held if event.data != _DONE]
        ends = [event for event in self._held if event.data == _DONE]
        if not usages:
            written = self._form.write_usage(self._identity(), usage)
            usages = sse.EventReader().feed(written)
        if cost_usd is not None:
            usages[-1] = sse.Event(_with_cost(usages[-1].data, cost_usd), usages[-1].name)
        self._held = []
        return b"".join(map(sse.write, [*usages, *ends]))

    def _identity(self) -> Identity:
        """As the last chunk with choices says."""
        for event in reversed(sse.EventReader().feed(self._last)):
            chunk = _read(event.data)
            if chunk is not None and chunk.choices:
                return Identity(chunk.id or "", chunk.model or "", chunk.created or 0)
        return Identity("", "", 0)


def _is_usage(data: bytes) -> bool:
    """Whether an event is the chunk that tells the usage, and nothing else."""
    chunk = _read(data)
    return chunk is not None and not chunk.choices and bytes(chunk.usage) not in _NO_USAGE


def _read(data: bytes) -> _Chunk | None:
    try:
        return _CHUNK.decode(data)
    except UNREADABLE:
        return None


def _with_cost(data: bytes, cost_usd: str) -> bytes:
    members = _MEMBERS.decode(data)
    members["meshgate"] = Raw(msgspec.json.encode({"cost_usd": cost_usd}))
    return msgspec.json.encode(members)
