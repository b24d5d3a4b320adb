"""Streams of choices, taken apart and written again with what may be shown of their texts."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.json_text import Found, Path, locator, replaced
from meshgate.dialects.openai_choices.chunks import Identity
from meshgate.dialects.openai_choices.logprobs import logprobs_in
from meshgate.dialects.openai_choices.proofs import EventProofs, Proof, Proofs, ShownText
from meshgate.dialects.segments import Piece, SegmentKind

_DONE = b"[DONE]"
_NOTHING_PROVEN: Mapping[int, Sequence[Path]] = {}
_CHUNK = msgspec.json.Decoder(dict[str, object])


@dataclass(frozen=True)
class Frame:
    """Where texts stand in the choices of a stream's chunks.

    Attributes:
        texts_in: Finds them in a choice; `Path`s lead there from the chunk.
        accumulates: Whether later chunks bring more of a text, or it is whole.
        lasting: Turns a path within a choice into the one that holds for all of the stream.
        write_more: Writes a chunk that brings more text at such a path, in the choice of an index.
        is_thought: Whether what stands at such a path was thought.
        proofs_in: Finds what proves thoughts in a choice.
    """

    texts_in: Callable[[object, Path], Iterator[Found]]
    accumulates: Callable[[Found], bool]
    lasting: Callable[[Path, object], Path]
    write_more: Callable[[Identity, Path, str, int], bytes]
    is_thought: Callable[[Path], bool] = lambda path: False
    proofs_in: Callable[[object, Path], Iterable[Path]] = lambda choice, path: ()


class _Channel(Struct, frozen=True):
    """What belongs together: where in a choice it stands, tool calls by their own index."""

    name: str
    kind: SegmentKind
    choice: int
    path: Path
    frame: Frame

    def last(self) -> Piece:
        return Piece(self.name, self.kind, "", is_last=True)

    def written(self, identity: Identity, text: str) -> bytes:
        """A chunk that brings more of it."""
        return self.frame.write_more(identity, self.path, text, self.choice)


class _Event:
    """One event: channels that it closes come first, then the texts that stand in it.

    Args:
        identity: Of the stream.
        closed: The channels that end here though nothing of them stands in the event.
        data: The event itself; empty if there is none.
        found: The texts in it.
        pieces: The same, as pieces.
        betraying: What goes from it, as it tells the same again.
        proofs: What was thought of it, and what proves that.
    """

    def __init__(
        self,
        identity: Identity,
        closed: Sequence[_Channel],
        event: sse.Event | None,
        texts: Sequence[tuple[Found, Piece]],
        betraying: Sequence[Path],
        proofs: EventProofs,
    ) -> None:
        self._identity = identity
        self._closed = closed
        self._event = event
        self._texts = texts
        self._betraying = betraying
        self._proofs = proofs
        self.is_end = event is None or event.data == _DONE
        self.pieces = [channel.last() for channel in closed] + [piece for _, piece in texts]

    def written(self, released: Sequence[str]) -> bytes:
        """The event, after what its closed channels were still owed."""
        shown = zip((piece.channel for piece in self.pieces), released, strict=True)
        self._proofs.show(shown)
        owed = zip(self._closed, released[: len(self._closed)], strict=True)
        written = [channel.written(self._identity, text) for channel, text in owed if text]
        if self._event is not None:
            written.append(sse.write(self._with(self._event, released[len(self._closed) :])))
        return b"".join(written)

    def _with(self, event: sse.Event, released: Sequence[str]) -> sse.Event:
        changes = dict.fromkeys([*self._betraying, *self._proofs.void()], b"null")
        for (found, _), text in zip(self._texts, released, strict=True):
            if text != found.text:
                changes[found.path] = found.written(text)
        return sse.Event(replaced(event.data, changes), event.name) if changes else event


class InspectedStream:
    """Takes one stream apart.

    Args:
        frame: Of its chunks.
    """

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._events = sse.EventReader()
        self._identity = Identity("", "", 0)
        self._open: dict[str, _Channel] = {}
        self._names: dict[tuple[int, Path], str] = {}
        self._used_names: set[str] = set()
        self._wholes = 0
        self._proofs = Proofs()

    def take(self, chunk: bytes) -> list[_Event]:
        """The events of a chunk.

        Raises:
            MalformedAnswerError: One of them is no chunk of a completion.
        """
        return [self._taken(event) for event in self._events.feed(chunk)]

    def closing(self) -> _Event:
        """What ends all channels that are open."""
        return self._event(self._closed(None))

    def _taken(self, event: sse.Event) -> _Event:
        if event.data == _DONE:
            return self._event(self._closed(None), event)
        chunk = _decoded(event.data)
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return self._event((), event)  # nothing is said in it
        if choices:
            self._identify(chunk)
        finished = {index_of(choice, at) for at, choice in enumerate(choices) if _ends(choice)}
        proven = self._proven(choices)
        texts = list(self._texts(choices, finished, proven.keys()))
        closed = [channel for choice in sorted(finished) for channel in self._closed(choice)]
        closed += [each for choice in proven for each in self._closed(choice, thoughts=True)]
        return self._event(closed, event, texts, logprobs_in(choices), proven)

    def _proven(self, choices: Sequence[object]) -> dict[int, list[Path]]:
        """Where proofs stand, by the index of the choice."""
        proven: dict[int, list[Path]] = {}
        for at, choice in enumerate(choices):
            if paths := list(self._frame.proofs_in(choice, ("choices", at))):
                proven.setdefault(index_of(choice, at), []).extend(paths)
        return proven

    def _event(
        self,
        closed: Sequence[_Channel],
        event: sse.Event | None = None,
        texts: Sequence[tuple[Found, Piece, _Channel]] = (),
        betraying: Sequence[Path] = (),
        proven: Mapping[int, Sequence[Path]] = _NOTHING_PROVEN,
    ) -> _Event:
        thoughts: dict[str, ShownText] = {}
        for channel in closed:
            if (thought := self._proofs.known(channel.choice, channel.name)) is not None:
                thoughts[channel.name] = thought
        for _, piece, channel in texts:
            if self._frame.is_thought(channel.path):
                thoughts[channel.name] = self._proofs.say(channel.choice, channel.name, piece.text)
        proofs = [
            proof for choice in proven for proof in self._end_thoughts(choice, proven[choice])
        ]
        pieces = [(found, piece) for found, piece, _ in texts]
        of_event = EventProofs(self._proofs, thoughts, proofs)
        return _Event(self._identity, closed, event, pieces, betraying, of_event)

    def _end_thoughts(self, choice: int, paths: Sequence[Path]) -> list[Proof]:
        """What proves the thoughts of a choice so far; what is thought later has other channels."""
        for key in [key for key in self._names if key[0] == choice]:
            if self._frame.is_thought(key[1]):
                del self._names[key]
        return self._proofs.end(choice, paths)

    def _identify(self, chunk: dict[str, object]) -> None:
        known = self._identity
        self._identity = Identity(
            _word(chunk.get("id")) or known.id,
            _word(chunk.get("model")) or known.served_model,
            created if isinstance(created := chunk.get("created"), int) else known.created,
        )

    def _texts(
        self, choices: Sequence[object], finished: set[int], proven: Container[int]
    ) -> Iterator[tuple[Found, Piece, _Channel]]:
        """The texts in a chunk, each with its piece; channels of choices that finish end with it."""
        found = [
            (each, self._channel_of(each, choice, index_of(choice, at)))
            for at, choice in enumerate(choices)
            for each in self._frame.texts_in(choice, ("choices", at))
        ]
        channels = [channel for _, channel in found]
        for number, (text, channel) in enumerate(found):
            ends = (
                channel.choice in finished
                or not self._frame.accumulates(text)
                or (channel.choice in proven and self._frame.is_thought(channel.path))
            )
            is_last = ends and channel not in channels[number + 1 :]
            yield text, self._piece(channel, text.text, is_last=is_last), channel

    def _piece(self, channel: _Channel, text: str, *, is_last: bool) -> Piece:
        if is_last:
            self._open.pop(channel.name, None)
        else:
            self._open[channel.name] = channel
        return Piece(channel.name, channel.kind, text, is_last)

    def _channel_of(self, found: Found, choice: object, index: int) -> _Channel:
        path = self._frame.lasting(found.path[2:], choice)
        if self._frame.accumulates(found):
            name = self._names.get((index, path)) or self._new_name(index, path)
        else:
            self._wholes += 1
            name = f"{locator(('choices', index, *path))}#whole{self._wholes}"
        return _Channel(name, found.kind, index, path, self._frame)

    def _new_name(self, index: int, path: Path) -> str:
        name = locator(("choices", index, *path))
        if name in self._used_names:
            name += f"#{len(self._used_names)}"
        self._names[index, path] = name
        self._used_names.add(name)
        return name

    def _closed(self, choice: int | None, *, thoughts: bool = False) -> list[_Channel]:
        """The channels that are open: of a choice, or all; only those of `thoughts`, if so."""
        closed = [
            each
            for each in self._open.values()
            if choice in {None, each.choice} and (not thoughts or self._frame.is_thought(each.path))
        ]
        for channel in closed:
            del self._open[channel.name]
        return closed


def index_of(item: object, place: int) -> int:
    """The index that a choice or a call says, or its place."""
    index = item.get("index") if isinstance(item, dict) else None
    return index if isinstance(index, int) else place


def _decoded(data: bytes) -> dict[str, object]:
    try:
        return _CHUNK.decode(data)
    except UNREADABLE as error:
        raise MalformedAnswerError("an event of the stream is no chunk") from error


def _ends(choice: object) -> bool:
    return isinstance(choice, dict) and bool(choice.get("finish_reason"))


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""
