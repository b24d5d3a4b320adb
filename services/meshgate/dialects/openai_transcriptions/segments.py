"""The texts of transcriptions, plain and streamed."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.json_text import JsonCut, in_members
from meshgate.dialects.openai_transcriptions import passthrough
from meshgate.dialects.openai_transcriptions.passthrough import DONE_TYPE
from meshgate.dialects.segments import Cut, Piece, Segment, SegmentKind

_WHOLE = "text"
_CHANNEL = "text"
_SEGMENTS = "segments"
_SEGMENT_TYPE = "transcript.text.segment"
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


class _Heard:
    """What has come of a stream.

    Attributes:
        said: What was shown of it, piece by piece.
        segment: The last event that told a part again, with who said it; None where there was none.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.segment: sse.Event | None = None


class TranscriptEvent:
    """One event, and what it says.

    The last one repeats all that was said: it gets all that was released in its place. Where speakers
    are told apart, each part comes twice: in deltas, and in a segment that names the speaker.
    """

    def __init__(self, event: sse.Event, heard: _Heard) -> None:
        self._event = event
        self._heard = heard
        told = read_event(event)
        self.is_end = told.type == DONE_TYPE
        self._is_segment = told.type == _SEGMENT_TYPE
        self._member = "text" if self.is_end or not told.delta else "delta"
        text = told.delta if self._member == "delta" else told.text
        # What the last one says has come already, unless nothing has.
        self._is_repeated = self.is_end and bool(heard.said)
        self.pieces: Sequence[Piece] = [*self._pieces("" if self._is_repeated else text)]
        if self._is_segment:
            heard.segment = event
        elif text and not self.is_end:
            heard.said.append("")

    def _pieces(self, text: str) -> Iterator[Piece]:
        channel = _SEGMENTS if self._is_segment else _CHANNEL
        if text or self.is_end:
            yield Piece(channel, SegmentKind.TEXT, text, is_last=self.is_end)
        if self.is_end and self._heard.segment is not None:
            yield Piece(_SEGMENTS, SegmentKind.TEXT, "", is_last=True)

    def written(self, released: Sequence[str]) -> bytes:
        """The event with what was released; called in the order of events.

        What was held back until the end goes before it.
        """
        if not self.pieces:
            return sse.write(self._event)
        if self._is_segment:
            return _with_text(self._event, "text", released[0])
        said = self._heard.said
        said.append(released[0])
        if not self.is_end:
            return _with_text(self._event, self._member, released[0])
        late = _delta(released[0]) if self._is_repeated and released[0] else b""
        if self._heard.segment is not None and released[1]:
            late += _with_text(self._heard.segment, "text", released[1])
        return late + _with_text(self._event, self._member, "".join(said))


class TranscriptStream:
    """Takes a streamed transcription apart."""

    def __init__(self) -> None:
        self._events = sse.EventReader()
        self._heard = _Heard()

    def take(self, chunk: bytes) -> Sequence[TranscriptEvent]:
        """The events of a chunk.

        Raises:
            MalformedAnswerError: One of them cannot be understood.
        """
        return [TranscriptEvent(event, self._heard) for event in self._events.feed(chunk)]

    def closing(self) -> TranscriptEvent:
        """What ends the text, where the stream is ended before its time."""
        event = sse.Event(b'{"type":"transcript.text.done","text":""}')
        return TranscriptEvent(event, self._heard)


def _with_text(event: sse.Event, member: str, text: str) -> bytes:
    """The event with a text in place of its own, and nothing that would betray that."""
    members = _RAW_MEMBERS.decode(event.data)
    members[member] = Raw(_ENCODER.encode(text))
    members.pop("logprobs", None)
    return sse.write(sse.Event(_ENCODER.encode(members), event.name))


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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedAnswerError("an event of the upstream's stream is no object") from error
