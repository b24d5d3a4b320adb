"""Rankings on their way through.

Facts: Cohere counts in `meta.billed_units.search_units` (docs.cohere.com/reference/rerank); Jina,
Voyage and vLLM in `usage.total_tokens`; Voyage says `data` for `results`.
"""

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.answers import UNREADABLE, AnswerGlance, MalformedAnswerError
from meshgate.dialects.counts import LooseCount, read_counts
from meshgate.dialects.neutral import FinishReason, Usage


class _Tokens(Struct, gc=False):
    total_tokens: LooseCount | None = None
    prompt_tokens: LooseCount | None = None
    input_tokens: LooseCount | None = None


class _Billed(Struct, gc=False):
    search_units: LooseCount | None = None
    input_tokens: LooseCount | None = None
    total_tokens: LooseCount | None = None


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
    meta = read_counts(_META, raw)
    if meta is None:
        return None
    billed, tokens = meta.billed_units or _Billed(), meta.tokens or _Tokens()
    units = billed.search_units
    read = billed.input_tokens or billed.total_tokens or tokens.input_tokens
    if units is None and read is None:
        return None
    return Usage(input_tokens=int(read or 0), search_units=int(units or 0))


def _tokens(raw: Raw) -> Usage | None:
    """What the others count; None where that is not said."""
    usage = read_counts(_USAGE, raw)
    if usage is None:
        return None
    read = usage.total_tokens
    if read is None:
        read = usage.prompt_tokens if usage.prompt_tokens is not None else usage.input_tokens
    return None if read is None else Usage(input_tokens=int(read))


def _malformed() -> MalformedAnswerError:
    return MalformedAnswerError("the upstream's answer is no ranking")
