"""Answers of generateContent as they stand in the JSON: whole ones, and the chunks of streams."""

from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError, UpstreamErrorEvent
from meshgate.dialects.openai_choices.error_event import find_error
from meshgate.dialects.sse import Event

T = TypeVar("T")


class FunctionCall(Struct, rename="camel", gc=False):
    """A call that the model wants."""

    name: str = ""
    id: str | None = None
    args: Raw = Raw()


class Part(Struct, rename="camel", gc=False):
    """A part; what the neutral form has no place for is known by its name."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Raw = Raw()
    file_data: Raw = Raw()
    executable_code: Raw = Raw()
    code_execution_result: Raw = Raw()
    tool_call: Raw = Raw()
    tool_response: Raw = Raw()


class Content(Struct, gc=False):
    """What a candidate says."""

    parts: list[Part] | None = None


class Source(Struct, rename="camel", gc=False):
    """What a text recites, and where, in bytes."""

    start_index: int = 0
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None


class CitationMetadata(Struct, rename="camel", gc=False):
    """What an answer recites."""

    citation_sources: list[Source] | None = None
    citations: list[Source] | None = None  # Vertex's name for them


class _Site(Struct, gc=False):
    uri: str | None = None
    title: str | None = None
    text: str | None = None


class GroundingChunk(Struct, rename="camel", gc=False):
    """What an answer is grounded on."""

    web: _Site | None = None
    retrieved_context: _Site | None = None


class Segment(Struct, rename="camel", gc=False):
    """A part of a text, in bytes."""

    start_index: int = 0
    end_index: int | None = None


class GroundingSupport(Struct, rename="camel", gc=False):
    """Which part of a text is grounded on what."""

    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class GroundingMetadata(Struct, rename="camel", gc=False):
    """What an answer is grounded on, and where."""

    grounding_chunks: list[GroundingChunk] | None = None
    grounding_supports: list[GroundingSupport] | None = None


class Candidate(Struct, rename="camel", gc=False):
    """An answer, or more of one."""

    content: Content | None = None
    finish_reason: str | None = None
    index: int = 0
    citation_metadata: CitationMetadata | None = None
    grounding_metadata: GroundingMetadata | None = None


class PromptFeedback(Struct, rename="camel", gc=False):
    """Why there is no answer."""

    block_reason: str | None = None


class Answer(Struct, rename="camel", gc=False):
    """A whole answer, or a chunk of a stream."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: Raw = Raw()
    model_version: str | None = None
    response_id: str | None = None

    @property
    def blocked(self) -> bool:
        """Whether the prompt was not answered at all."""
        return bool(self.prompt_feedback and self.prompt_feedback.block_reason)


_ANSWER = msgspec.json.Decoder(Answer)


def decoded(body: bytes, decoder: "msgspec.json.Decoder[T]") -> T:
    """What a body holds.

    Raises:
        MalformedAnswerError: It is not of the decoder's type.
    """
    try:
        if not body.isascii():
            body.decode()  # the decoder does not look into what it skips
        return decoder.decode(body)
    except UNREADABLE as error:
        raise MalformedAnswerError("the upstream's answer is no generated content") from error


def answer_of(body: bytes) -> Answer:
    """An answer, or a chunk of one.

    Raises:
        MalformedAnswerError: It is none.
    """
    return decoded(body, _ANSWER)


def error_of(event: Event) -> UpstreamErrorEvent | None:
    """The error that an event reports, if it reports one."""
    return find_error(event)
