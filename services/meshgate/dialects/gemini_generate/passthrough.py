"""Generated content on its way through, where caller and upstream both speak this dialect.

Bytes are passed on as they are; only what the gateway must know or change is looked at.
"""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import sse
from meshgate.dialects.answers import (
    AnswerGlance,
    MalformedAnswerError,
)
from meshgate.dialects.gemini_generate import foreign_thoughts
from meshgate.dialects.gemini_generate import usage as usage_metadata
from meshgate.dialects.gemini_generate.answers import PromptFeedback, decoded, error_of
from meshgate.dialects.gemini_generate.finish_reason import read_finish_reason
from meshgate.dialects.gemini_generate.member_names import spellings
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.openai_api.request_body import decode
from meshgate.dialects.output_cap import lower
from meshgate.dialects.upstream_stream import PassedStream

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_NULL = b"null"


class _FunctionCall(Struct, gc=False):
    pass


class _Part(Struct, rename="camel", gc=False):
    function_call: _FunctionCall | None = None


class _Content(Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(Struct, rename="camel", gc=False):
    content: _Content | None = None
    finish_reason: str | None = None
    index: int = 0

    @property
    def has_calls(self) -> bool:
        parts = (self.content.parts if self.content else None) or ()
        return any(part.function_call is not None for part in parts)


class _Answer(Struct, rename="camel", gc=False):
    candidates: list[_Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: Raw = Raw()
    model_version: str | None = None

    @property
    def is_blocked(self) -> bool:
        return bool(self.prompt_feedback and self.prompt_feedback.block_reason)


_ANSWER = msgspec.json.Decoder(_Answer)


def retarget(body: bytes, model: str, output_cap: int | None = None) -> bytes:
    """Take the model's name out of a body, as the URL names it, and ask for no more than the cap.

    Signatures of other upstreams, which the caller got from the gateway in earlier answers, are left
    out, and calls that the model wants signed and that are not are told to be others'. All else keeps its bytes and its order.

    Raises:
        InvalidRequestError: The body is not a JSON object.
    """
    members = decode(_MEMBERS, body)
    members.pop("model", None)
    if output_cap is not None:
        for name in spellings(members, "generationConfig"):
            members[name] = _capped(members.get(name), output_cap)
    if foreign_thoughts.may_be_in(body) and "contents" in members:
        members["contents"] = foreign_thoughts.left_out(members["contents"])
    if foreign_thoughts.may_lack_signatures(body, model) and "contents" in members:
        members["contents"] = foreign_thoughts.signed(members["contents"])
    return msgspec.json.encode(members)


def glance(body: bytes) -> AnswerGlance:
    """Look at a plain answer.

    Raises:
        MalformedAnswerError: It is no generated content.
    """
    answer = decoded(body, _ANSWER)
    candidates = answer.candidates or []
    if not candidates and not answer.is_blocked:
        raise MalformedAnswerError("the upstream's answer says nothing")
    reason = FinishReason.CONTENT_FILTER
    if candidates:
        first = candidates[0]
        reason = read_finish_reason(first.finish_reason, has_calls=first.has_calls)
    usage = usage_metadata.read(answer.usage_metadata)
    return AnswerGlance(answer.model_version or "", usage, reason)


class StreamTracker(PassedStream):
    """Follows a streamed answer through the gateway.

    It is whole when all candidates that have begun have said why they end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._open: set[int] = set()
        self._finished: set[int] = set()
        self._called: set[int] = set()

    def _take(self, event: sse.Event, told: list[bytes]) -> None:
        self.error = error_of(event)
        if self.error is None:
            self._note(decoded(event.data, _ANSWER))
            told.append(sse.write(event))

    def _is_whole(self) -> bool:
        return bool(self._finished) and not self._open

    def _note(self, chunk: _Answer) -> None:
        self.started = True
        self.served_model = self.served_model or chunk.model_version or ""
        if (usage := usage_metadata.read(chunk.usage_metadata)) is not None:
            self.usage = usage
        if chunk.is_blocked:
            self.finish_reason = FinishReason.CONTENT_FILTER
            self._finished.add(0)
        for candidate in chunk.candidates or ():
            self._note_candidate(candidate)

    def _note_candidate(self, candidate: _Candidate) -> None:
        index = candidate.index
        if candidate.has_calls:
            self._called.add(index)
        if not candidate.finish_reason:
            if index not in self._finished:
                self._open.add(index)
            return
        self._open.discard(index)
        self._finished.add(index)
        if index == min(self._finished):
            self.finish_reason = read_finish_reason(
                candidate.finish_reason, has_calls=index in self._called
            )


def _capped(config: Raw | None, output_cap: int) -> Raw:
    members = {} if config is None or bytes(config) == _NULL else decode(_MEMBERS, bytes(config))
    for name in spellings(members, "maxOutputTokens"):
        members[name] = Raw(str(lower(_number(members.get(name)), output_cap)).encode())
    return Raw(msgspec.json.encode(members))


def _number(value: Raw | None) -> int | None:
    """What was asked for; None where it is no whole number, which bounds nothing for sure."""
    try:
        return None if value is None else msgspec.json.decode(value, type=int)
    except msgspec.DecodeError:
        return None
