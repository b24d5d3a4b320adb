"""Reads completions into the neutral form, as callers got them: whole answers, and streams."""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import CutStreamError, MalformedAnswerError, UpstreamErrorEvent
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    Finished,
    FinishReason,
    Message,
    Role,
    Started,
    Text,
    TextDelta,
    Usage,
)
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_choices.error_event import find_error
from meshgate.dialects.openai_choices.finish_reason import read_finish_reason

T = TypeVar("T")


class _Choice(Struct, gc=False):
    text: str
    # The neutral form holds one answer, and nothing of how likely it was.
    index: Annotated[int, Meta(ge=0, le=0)] = 0
    logprobs: None = None
    finish_reason: str | None = None


class _Chunk(Struct, gc=False):
    choices: Annotated[list[_Choice], Meta(max_length=1)]
    id: str | None = None
    model: str | None = None
    usage: Raw = Raw()


class _Completion(_Chunk, gc=False):
    choices: Annotated[list[_Choice], Meta(min_length=1, max_length=1)]


_COMPLETION = msgspec.json.Decoder(_Completion)
_CHUNK = msgspec.json.Decoder(_Chunk)


def read(body: bytes) -> ChatResponse:
    """Read a whole answer.

    Raises:
        MalformedAnswerError: It is not a completion, or more than one text.
    """
    completion = _decoded(_COMPLETION, body)
    choice = completion.choices[0]
    return ChatResponse(
        id=completion.id or "",
        served_model=completion.model or "",
        message=Message(role=Role.ASSISTANT, parts=(Text(choice.text),) if choice.text else ()),
        finish_reason=read_finish_reason(choice.finish_reason),
        usage=usage_object.read(completion.usage),
    )


class StreamReader:
    """Reads one streamed answer.

    An error event is not raised: it stands in `error`, and nothing is read after it.
    """

    def __init__(self) -> None:
        self.started = False
        self.done = False
        self.served_model = ""
        self.usage: Usage | None = None
        self.finish_reason = FinishReason.UNSPECIFIED
        self.error: UpstreamErrorEvent | None = None
        self._events = sse.EventReader()
        self._finished = False

    def feed(self, data: bytes) -> list[ChatEvent]:
        """Take what one read brought and return what it says.

        Raises:
            MalformedAnswerError: It cannot be understood, or is more than one text.
        """
        read: list[ChatEvent] = []
        for event in self._events.feed(data):
            if not self.done and self.error is None:
                self._read(event, read)
        return read

    def close(self) -> list[ChatEvent]:
        """Take the end; nothing is owed.

        Raises:
            CutStreamError: The answer is not whole.
        """
        if not self.done and self.error is None:
            raise CutStreamError("the stream ended before the answer did")
        return []

    def _read(self, event: sse.Event, read: list[ChatEvent]) -> None:
        if event.data == b"[DONE]":
            # Where the answer has not ended, this is a cut that must not look complete.
            if self._finished:
                self.done = True
                read.append(Finished(reason=self.finish_reason, usage=self.usage))
            return
        self.error = find_error(event)
        if self.error is None:
            self._read_chunk(_decoded(_CHUNK, event.data), read)

    def _read_chunk(self, chunk: _Chunk, read: list[ChatEvent]) -> None:
        if not self.started:
            self.started = True
            self.served_model = chunk.model or ""
            read.append(Started(id=chunk.id or "", served_model=self.served_model))
        if (usage := usage_object.read(chunk.usage)) is not None:
            self.usage = usage
        for choice in chunk.choices:
            if choice.text:
                read.append(TextDelta(choice.text))
            if choice.finish_reason:
                self._finished = True
                self.finish_reason = read_finish_reason(choice.finish_reason)


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedAnswerError("the answer is not a completion of one text") from error
