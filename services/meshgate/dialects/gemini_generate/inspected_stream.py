"""Streams of generated content, taken apart and written again with what may be shown of their texts.

The text of a candidate is one channel, its thoughts another; whatever else a part says is whole.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from meshgate.dialects import sse
from meshgate.dialects.gemini_generate.chunks import Identity, event, write_answer
from meshgate.dialects.gemini_generate.segments import betraying, candidates_of, in_candidate
from meshgate.dialects.json_text import Found, Path, locator, replaced
from meshgate.dialects.loose_json import decoded, of_type
from meshgate.dialects.segments import Piece, SegmentKind


class _Channel(Struct, frozen=True):
    """What belongs together: the text of a candidate, or its thoughts."""

    name: str
    candidate: int
    is_thought: bool = False

    def last(self) -> Piece:
        return Piece(self.name, SegmentKind.TEXT, "", is_last=True)

    def written(self, identity: Identity, text: str) -> bytes:
        """A chunk that brings more of it."""
        part = {"text": text, "thought": True} if self.is_thought else {"text": text}
        return event(write_answer(identity, [part], index=self.candidate))


class _Event:
    """One event: channels that it closes come first, then the texts that stand in it.

    Args:
        identity: Of the stream.
        closed: The channels that end here though nothing of them stands in the event.
        told: The event itself; None if there is none.
        texts: The texts in it, each with its piece.
        betraying: What goes from it, as it tells the same again.
        is_end: Whether no text comes after it.
    """

    def __init__(
        self,
        identity: Identity,
        closed: Sequence[_Channel],
        told: sse.Event | None = None,
        texts: Sequence[tuple[Found, Piece]] = (),
        betraying: Sequence[Path] = (),
        *,
        is_end: bool = False,
    ) -> None:
        self._identity = identity
        self._closed = closed
        self._told = told
        self._texts = texts
        self._betraying = betraying
        self.is_end = told is None or is_end
        self.pieces = [channel.last() for channel in closed] + [piece for _, piece in texts]

    def written(self, released: Sequence[str]) -> bytes:
        """The event, after what its closed channels were still owed."""
        owed = zip(self._closed, released[: len(self._closed)], strict=True)
        written = [channel.written(self._identity, text) for channel, text in owed if text]
        if self._told is not None:
            written.append(sse.write(self._with(self._told, released[len(self._closed) :])))
        return b"".join(written)

    def _with(self, told: sse.Event, released: Sequence[str]) -> sse.Event:
        changes = dict.fromkeys(self._betraying, b"null")
        for (found, _), text in zip(self._texts, released, strict=True):
            if text != found.text:
                changes[found.path] = found.written(text)
        return sse.Event(replaced(told.data, changes), told.name) if changes else told


class InspectedStream:
    """Takes one stream apart."""

    def __init__(self) -> None:
        self._events = sse.EventReader()
        self._identity = Identity("", "")
        self._open: dict[str, _Channel] = {}
        self._running: set[int] = set()
        self._wholes = 0

    def take(self, chunk: bytes) -> list[_Event]:
        """The events of a chunk.

        Raises:
            MalformedAnswerError: One of them is no generated content.
        """
        return [self._taken(told) for told in self._events.feed(chunk)]

    def closing(self) -> _Event:
        """What ends all channels that are open."""
        return _Event(self._identity, self._closed(None))

    def _taken(self, told: sse.Event) -> _Event:
        candidates = candidates_of(told.data)
        self._identify(told.data)
        finished = {_index(each, at) for at, each in enumerate(candidates) if _ends(each)}
        self._running |= {_index(each, at) for at, each in enumerate(candidates)}
        self._running -= finished
        texts = list(self._texts(candidates, finished))
        closed = [channel for index in sorted(finished) for channel in self._closed(index)]
        is_end = bool(finished) and not self._running
        return _Event(self._identity, closed, told, texts, betraying(candidates), is_end=is_end)

    def _identify(self, data: bytes) -> None:
        answer = decoded(data)
        if isinstance(answer, dict):
            self._identity = Identity(
                of_type(answer.get("responseId"), str) or self._identity.id,
                of_type(answer.get("modelVersion"), str) or self._identity.served_model,
            )

    def _texts(
        self, candidates: Sequence[object], finished: set[int]
    ) -> Iterator[tuple[Found, Piece]]:
        """The texts in a chunk, each with its piece; channels of who has finished end with it."""
        found = [
            (each, _channel_of(each, candidate, _index(candidate, at)))
            for at, candidate in enumerate(candidates)
            for each in in_candidate(candidate, ("candidates", at))
        ]
        for number, (text, channel) in enumerate(found):
            if channel is None:
                yield text, self._whole(text)
                continue
            later = [other for _, other in found[number + 1 :]]
            is_last = channel.candidate in finished and channel not in later
            if is_last:
                self._open.pop(channel.name, None)
            else:
                self._open[channel.name] = channel
            yield text, Piece(channel.name, SegmentKind.TEXT, text.text, is_last)

    def _whole(self, found: Found) -> Piece:
        self._wholes += 1
        name = f"{locator(found.path)}#whole{self._wholes}"
        return Piece(name, found.kind, found.text, is_last=True)

    def _closed(self, candidate: int | None) -> list[_Channel]:
        """The channels that are open: of a candidate, or all."""
        closed = [each for each in self._open.values() if candidate in {None, each.candidate}]
        for channel in closed:
            del self._open[channel.name]
        return closed


def _channel_of(found: Found, candidate: object, index: int) -> _Channel | None:
    """The channel that a text is more of; None for one that is whole."""
    if found.is_value or found.path[-1] != "text" or found.path[2:4] != ("content", "parts"):
        return None
    is_thought = _is_thought(candidate, found.path[4])
    kind = "thought" if is_thought else "text"
    return _Channel(f"candidates[{index}].{kind}", index, is_thought)


def _is_thought(candidate: object, number: str | int) -> bool:
    try:
        part = candidate["content"]["parts"][number]  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        return False
    return isinstance(part, dict) and part.get("thought") is True


def _index(candidate: object, place: int) -> int:
    """The index that a candidate says, or its place."""
    index = candidate.get("index") if isinstance(candidate, dict) else None
    return index if isinstance(index, int) else place


def _ends(candidate: object) -> bool:
    return isinstance(candidate, dict) and bool(candidate.get("finishReason"))
