"""Rankings on their way through.

Facts: Cohere counts in `meta.billed_units.search_units` (docs.cohere.com/reference/rerank); Jina,
Voyage and vLLM in `usage.total_tokens`; Voyage says `data` for `results`.
"""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import UNREADABLE, AnswerGlance, MalformedAnswerError
from meshgate.dialects.neutral import FinishReason, Usage

_Count: TypeAlias = Annotated[float, Meta(ge=0, le=2**31 - 1)]


class _Tokens(Struct, gc=False):
    total_tokens: _Count | None = None
    prompt_tokens: _Count | None = None
    input_tokens: _Count | None = None


class _Billed(Struct, gc=False):
    search_units: _Count | None = None
    input_tokens: _Count | None = None
    total_tokens: _Count | None = None


class _Meta(Struct, gc=False):
    billed_units: _Billed | None = None
    tokens: _Tokens | None = None


class _Result(Struct, gc=False):
    index: int


class _Answer(Struct, gc=False):
    results: list[_Result] | None = None
    data: list[_Result] | None = None
    model: str | None = None
    usage: Raw = Raw()
    meta: Raw = Raw()


_ANSWER = msgspec.json.Decoder(_Answer)
_USAGE = msgspec.json.Decoder(_Tokens)
_META = msgspec.json.Decoder(_Meta)


def glance(body: bytes) -> AnswerGlance:
    """Look at an answer.

    Raises:
        MalformedAnswerError: It is no ranking.
    """
    try:
        answer = _ANSWER.decode(body)
    except UNREADABLE as error:
        raise _malformed() from error
    if answer.results is None and answer.data is None:
        raise _malformed()
    usage = _billed(answer.meta) or _tokens(answer.usage)
    return AnswerGlance(answer.model or "", usage, FinishReason.UNSPECIFIED)


def _billed(raw: Raw) -> Usage | None:
    """What Cohere bills; None where that is not said."""
    if not bytes(raw):
        return None
    try:
        meta = _META.decode(raw)
    except UNREADABLE:
        return None
    billed, tokens = meta.billed_units or _Billed(), meta.tokens or _Tokens()
    units = billed.search_units
    read = billed.input_tokens or billed.total_tokens or tokens.input_tokens
    if units is None and read is None:
        return None
    return Usage(input_tokens=int(read or 0), search_units=int(units or 0))


def _tokens(raw: Raw) -> Usage | None:
    """What the others count; None where that is not said."""
    if not bytes(raw):
        return None
    try:
        usage = _USAGE.decode(raw)
    except UNREADABLE:
        return None
    read = usage.total_tokens
    if read is None:
        read = usage.prompt_tokens if usage.prompt_tokens is not None else usage.input_tokens
    return None if read is None else Usage(input_tokens=int(read))


def _malformed() -> MalformedAnswerError:
    return MalformedAnswerError("the upstream's answer is no ranking")
