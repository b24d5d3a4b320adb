"""What becomes of an answer between an upstream of one dialect and a caller of another."""

from collections.abc import Iterator
from dataclasses import fields, replace

from dialects.matrix import corpora
from dialects.matrix.corpora import Recording
from dialects.matrix.expectations import Said, expected, said_by, said_in
from dialects.matrix.features import FEATURES
from dialects.matrix.judgement import Judgement, Outcome, can_say
from dialects.matrix.stream_run import grammar_of

from meshgate.dialects.chat_dialect import RetoldDialect
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.translation import CALLER_DIALECTS, translator
from meshgate.runtime.errors import UnsupportedError

LEFT_OUT: dict[str, dict[str, str]] = {
    "redacted": {
        "openai_responses": "they are told as what they are to the caller: encrypted",
        "gemini_generate": "Gemini's signatures are all of that kind",
    },
    "citations": {
        "openai_chat": "annotations name web pages only",
        "openai_responses": "annotations name web pages and uploaded files only",
        "gemini_generate": "grounding names web pages only",
        "meshgate_chat": "citations without a source are not told",
    },
    "stop_sequence": {
        "openai_chat": "no place says which one it was",
        "openai_responses": "no place says which one it was",
        "gemini_generate": "no place says which one it was",
    },
    "created": {
        "gemini_generate": "usage does not tell what was put into the cache",
        "openai_responses": "usage does not tell what was put into the cache",
    },
    "reasoning": {"anthropic_messages": "usage does not tell thoughts from other output"},
}
"""What callers of a dialect are not told, and why."""

_CUSTOM_TOOL = next(feature for feature in FEATURES if feature.name == "custom tool")
_COUNTS = ("input", "cached", "created", "output", "reasoning")


def judged_answer(caller: str, upstream: str, name: str) -> Judgement:
    """Translate a recorded plain answer, and read it as the caller does."""
    if not _is_asked_for(caller, name):
        return Judgement(Outcome.UNSAID)
    told = expected(upstream, name)
    way = translator(caller, upstream)
    try:
        body = way.answer(corpora.answers(upstream)[name], created=1).body
    except UnsupportedError as error:
        return Judgement(Outcome.REFUSED, error.field or "")
    read = said_by(_reader(caller).read_response(body))
    return _compared(caller, told or Said(), read)


def judged_stream(caller: str, recording: Recording) -> Judgement:
    """Translate a recorded stream, and read it as the caller does."""
    if not _is_asked_for(caller, recording.name):
        return Judgement(Outcome.UNSAID)
    told = expected(recording.dialect, recording.name)
    stream = translator(caller, recording.dialect).stream(created=1, include_usage=True)
    reader = _reader(caller).stream_reader()
    events, written = [], b""
    try:
        for part in (*map(stream.feed, recording.frames), stream.close()):
            written += part
            events += reader.feed(part)
    except UnsupportedError as error:
        return Judgement(Outcome.REFUSED, error.field or "")
    events += reader.close()
    if (check := grammar_of(caller)) is not None:
        check(written)
    return _compared(caller, told or Said(), said_in(events))


def _is_asked_for(caller: str, name: str) -> bool:
    """Whether a caller can have asked for what leads to such an answer."""
    return name != "custom_call" or can_say(caller, _CUSTOM_TOOL)


def _reader(caller: str) -> RetoldDialect:
    dialect = CALLER_DIALECTS[caller]
    if not isinstance(dialect, RetoldDialect):
        raise TypeError(f"nobody reads what callers of {caller} are told")
    return dialect


def _compared(caller: str, told: Said, read: Said) -> Judgement:
    """Compare what an upstream said with what its caller has read."""
    is_told_as_text = bool(told.refusal) and not read.refusal
    if is_told_as_text:
        told = _as_text(told, read.finish_reason)
    missing = sorted(_differences(told, read))
    unexplained = [name for name in missing if caller not in LEFT_OUT.get(name, {})]
    if unexplained:
        return Judgement(Outcome.LOST, f"{', '.join(unexplained)}: {told} -> {read}")
    if missing:
        return Judgement(Outcome.LEFT_OUT, ", ".join(missing))
    if is_told_as_text:
        return Judgement(Outcome.APPROXIMATED, "as text")
    return Judgement(Outcome.CARRIED)


def _as_text(told: Said, reason: FinishReason) -> Said:
    """A refusal as callers are told it whose dialect has none; it may be an end of its own."""
    if reason is not FinishReason.CONTENT_FILTER:
        reason = told.finish_reason
    return replace(told, text=told.refusal, refusal="", finish_reason=reason)


def _differences(told: Said, read: Said) -> Iterator[str]:
    for field in fields(Said):
        if field.name != "usage" and getattr(told, field.name) != getattr(read, field.name):
            yield field.name
    for name, first, second in zip(_COUNTS, told.usage, read.usage, strict=True):
        if first != second:
            yield name
