"""Reads completions into the neutral form, as callers got them: whole answers, and streams."""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import (
    decoded,
)
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    Finished,
    Message,
    Role,
    Started,
    Text,
    TextDelta,
)
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_choices.error_event import find_error
from meshgate.dialects.openai_choices.finish_reason import read_finish_reason
from meshgate.dialects.upstream_stream import ReadStream

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
    service_tier: object = None


class _Completion(_Chunk, gc=False):
    choices: Annotated[list[_Choice], Meta(min_length=1, max_length=1)]


_COMPLETION = msgspec.json.Decoder(_Completion)
_CHUNK = msgspec.json.Decoder(_Chunk)
_NO_COMPLETION = "the answer is not a completion of one text"


def read(body: bytes) -> ChatResponse:
    """Read a whole answer.

    Raises:
        MalformedAnswerError: It is not a completion, or more than one text.
    """
    completion = decoded(_COMPLETION, body, _NO_COMPLETION)
    choice = completion.choices[0]
    return ChatResponse(
        id=completion.id or "",
        served_model=completion.model or "",
        message=Message(role=Role.ASSISTANT, parts=(Text(choice.text),) if choice.text else ()),
        finish_reason=read_finish_reason(choice.finish_reason),
        usage=usage_object.read(completion.usage, completion.service_tier),
    )


class StreamReader(ReadStream[sse.Event]):
    """Reads one streamed answer."""

    def __init__(self) -> None:
        super().__init__(sse.EventReader())
        self._service_tier: object = None
        self._finished = False

    def _take(self, event: sse.Event, told: list[ChatEvent]) -> None:
        if event.data == b"[DONE]":
            # Where the answer has not ended, this is a cut that must not look complete.
            if self._finished:
                self.done = True
                told.append(Finished(reason=self.finish_reason, usage=self.usage))
            return
        self.error = find_error(event)
        if self.error is None:
            self._read_chunk(decoded(_CHUNK, event.data, _NO_COMPLETION), told)

    def _read_chunk(self, chunk: _Chunk, read: list[ChatEvent]) -> None:
        if not self.started:
            self.started = True
            self.served_model = chunk.model or ""
            read.append(Started(id=chunk.id or "", served_model=self.served_model))
        self._service_tier = chunk.service_tier or self._service_tier
        if (usage := usage_object.read(chunk.usage, self._service_tier)) is not None:
            self.usage = usage
        for choice in chunk.choices:
            if choice.text:
                read.append(TextDelta(choice.text))
            if choice.finish_reason:
                self._finished = True
                self.finish_reason = read_finish_reason(choice.finish_reason)
