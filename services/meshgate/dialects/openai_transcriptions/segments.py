"""The texts of transcriptions, plain and streamed."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.json_text import JsonCut, in_members
from meshgate.dialects.openai_transcriptions import passthrough
from meshgate.dialects.openai_transcriptions.passthrough import DONE_TYPE
from meshgate.dialects.segments import Cut, Piece, Segment, SegmentKind

_WHOLE = "text"
_CHANNEL = "text"
_SKIPPED = frozenset({"task", "language", "duration", "usage", "type"})
_MEMBERS = msgspec.json.Decoder(dict[str, object])
_RAW_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()
# What tells the same again, word by word.
_BETRAYING = ("segments", "words", "logprobs")


class TextCut:
    """An answer that is nothing but text."""

    def __init__(self, body: bytes) -> None:
        text = body.decode()
        self.segments = [Segment(_WHOLE, SegmentKind.TEXT, text)] if text else []
        self._body = body

    def masked(self, texts: Mapping[str, str]) -> bytes:
        """The text in place of its own."""
        return texts[_WHOLE].encode() if _WHOLE in texts else self._body


def cut_answer(body: bytes) -> Cut:
    """Take the texts out of an answer.

    Raises:
        MalformedAnswerError: It cannot be read.
    """
    if isinstance(passthrough.read(body), str):
        return TextCut(body)
    members = _MEMBERS.decode(body)
    betraying = [(name,) for name in _BETRAYING if name in members]
    return JsonCut(body, in_members(members, (), {*_SKIPPED, *_BETRAYING}, {}), betraying)


def blocked_answer(body: bytes) -> bytes:
    """The same answer with nothing said in it.

    Raises:
        MalformedAnswerError: It cannot be read.
    """
    if isinstance(passthrough.read(body), str):
        return b""
    kept = {
        name: value for name, value in _RAW_MEMBERS.decode(body).items() if name not in _BETRAYING
    }
    return _ENCODER.encode(kept | {"text": ""})


def answer_texts(body: bytes) -> list[str]:
    """What a plain answer says, for a tokenizer."""
    try:
        transcript = passthrough.read(body)
    except MalformedAnswerError:
        return [body.decode(errors="replace")]
    return [transcript if isinstance(transcript, str) else transcript.text]


class _Event(Struct):
    type: str = ""
    delta: str = ""
    text: str = ""


_EVENT = msgspec.json.Decoder(_Event)


class _Said:
    """What was said in a stream until now.

    Attributes:
        is_begun: Whether a delta has come.
        released: What was released of them.
        segments: How many events have told a text of their own.
    """

    def __init__(self) -> None:
        self.is_begun = False
        self.released: list[str] = []
        self.segments = 0


class TranscriptEvent:
    """One event, and what it says.

    Deltas are one text. The last event repeats it: it gets all that was released in its place. Any other
    event that holds a text, as that of a speaker's segment, tells one of its own.
    """

    def __init__(self, event: sse.Event, said: _Said) -> None:
        told = read_event(event)
        self._event = event
        self._said = said
        self._is_delta = bool(told.delta)
        self.is_end = told.type == DONE_TYPE
        self._is_repeated = self.is_end and said.is_begun
        self.pieces: Sequence[Piece] = [*self._pieces(told)]

    def _pieces(self, told: _Event) -> Iterator[Piece]:
        if self.is_end:
            text = "" if self._is_repeated else told.text
            yield Piece(_CHANNEL, SegmentKind.TEXT, text, is_last=True)
        elif told.delta:
            self._said.is_begun = True
            yield Piece(_CHANNEL, SegmentKind.TEXT, told.delta)
        elif told.text:
            self._said.segments += 1
            channel = f"segment {self._said.segments}"
            yield Piece(channel, SegmentKind.TEXT, told.text, is_last=True)

    def written(self, released: Sequence[str]) -> bytes:
        """The event with what was released; called in the order of events.

        What was held back until the end goes before it.
        """
        if not self.pieces:
            return sse.write(self._event)
        (text,) = released
        late = _delta(text) if self._is_repeated and text else b""
        if self._is_delta or self.is_end:
            self._said.released.append(text)
        if self.is_end:
            text = "".join(self._said.released)
        members = _RAW_MEMBERS.decode(self._event.data)
        members["delta" if self._is_delta else "text"] = Raw(_ENCODER.encode(text))
        members.pop("logprobs", None)
        return late + sse.write(sse.Event(_ENCODER.encode(members), self._event.name))


class TranscriptStream:
    """Takes a streamed transcription apart."""

    def __init__(self) -> None:
        self._events = sse.EventReader()
        self._said = _Said()

    def take(self, chunk: bytes) -> Sequence[TranscriptEvent]:
        """The events of a chunk.

        Raises:
            MalformedAnswerError: One of them cannot be understood.
        """
        return [TranscriptEvent(event, self._said) for event in self._events.feed(chunk)]

    def closing(self) -> TranscriptEvent:
        """What ends the text, where the stream is ended before its time."""
        return TranscriptEvent(sse.Event(b'{"type":"transcript.text.done","text":""}'), self._said)


def _delta(text: str) -> bytes:
    event = {"type": "transcript.text.delta", "delta": text}
    return sse.write(sse.Event(_ENCODER.encode(event)))


def read_event(event: sse.Event) -> _Event:
    """What an event says.

    Raises:
        MalformedAnswerError: It cannot be understood.
    """
    try:
        return _EVENT.decode(event.data)
    except UNREADABLE as error:
        raise MalformedAnswerError("an event of the upstream's stream is no object") from error
