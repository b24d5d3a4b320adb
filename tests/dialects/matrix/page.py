"""`docs/dialects.md`: what becomes of every feature between every two dialects, as the tests find it."""

from collections.abc import Callable, Iterable, Iterator

from dialects.matrix import corpora
from dialects.matrix.allowances import ADDITIONS
from dialects.matrix.answers import LEFT_OUT, judged_answer
from dialects.matrix.echoes import SIGNED, judged_echo
from dialects.matrix.expectations import expected
from dialects.matrix.features import FEATURES
from dialects.matrix.judgement import Judgement, Outcome, judged
from dialects.matrix.pairs import CALLERS, PAIRS, TRANSLATED
from dialects.matrix.refusals import STATUSES, told

from meshgate.dialects.translation import CALLER_DIALECTS, UPSTREAM_DIALECTS

_SYMBOLS = {
    Outcome.PASSED: "=",
    Outcome.CARRIED: "●",
    Outcome.APPROXIMATED: "≈",
    Outcome.LEFT_OUT: "○",
    Outcome.REFUSED: "✕",
    Outcome.UNSAID: "",
    Outcome.LOST: "LOST",
}
_TITLES = {
    "openai_chat": "OpenAI chat completions",
    "openai_completions": "OpenAI completions",
    "openai_responses": "OpenAI responses",
    "anthropic_messages": "Anthropic messages",
    "gemini_generate": "Gemini generateContent",
    "bedrock_converse": "Bedrock Converse",
    "cohere_chat": "Cohere chat",
    "meshgate_chat": "Meshgate's typed API",
}
_WHAT = {
    "redacted": "that a thought may not be shown",
    "stop_sequence": "which stop sequence it was",
    "created": "tokens put into the cache",
    "reasoning": "tokens of thoughts",
}
_ANSWERS = {
    "text": "text",
    "thoughts": "thoughts",
    "redacted_thoughts": "thoughts that may not be shown",
    "call": "tool call, in pieces",
    "whole_call": "tool call in one piece",
    "late_call": "tool call whose arguments come last",
    "call_without_arguments": "tool call without arguments",
    "custom_call": "call of a custom tool",
    "parallel_calls": "parallel tool calls",
    "thoughts_before_a_call": "thoughts before a tool call",
    "signed_call": "signed tool call",
    "signed_text": "signed text",
    "citations": "citations",
    "refusal": "refusal",
    "length": "end: no more tokens",
    "stop_sequence": "end: stop sequence",
    "filtered": "end: filter",
    "blocked": "end: blocked prompt",
    "usage": "usage with its details",
}
_INTRODUCTION = """\
# Dialects

Callers speak the dialect of their SDK, upstreams that of their provider. Where both speak the same, bytes pass through:
what the gateway does not know passes too. Otherwise a request is read into one neutral form and written from it, and so is
the answer on its way back. What an upstream cannot be told is refused with status 400 and an error that names the field;
nothing is dropped in silence but what changes no answer.

This page is written by `make dialects` from what the tests find (`tests/dialects/matrix`), so it is what the gateway does.

| Sign | A feature of a request, or a part of an answer |
|:---:|---|
| = | passes as the bytes that it is |
| ● | is translated |
| ≈ | is told in other words; which ones stands below the table |
| ○ | is left out: a hint that changes no answer, or something that the caller's dialect has no place for (see the end) |
| ✕ | is refused |
| | cannot be asked for, or said, in that dialect |
"""
_HINTS = """\
Hints that change no answer: what is worth being cached, the key of a prompt's cache, who the application asks for, and
whether thoughts are shown; and thoughts of earlier turns, which only the upstream that has made them can read where they
are signed. A signature goes back to its maker and to nobody else."""

_THINKING = """\
How hard to think, and how much, is said in words by some and in tokens by others (`reasoning_effort.py`). Where an upstream
has words only, a budget of 0 tokens is `none`, one below 2,048 `low`, below 8,192 `medium`, and any other `high`; of a
budget and an effort, the lesser one counts. Where it has budgets only, `minimal` and `low` are 4,096 tokens, `medium` 8,192
and `high` 16,384; Gemini before the third generation is told what Google makes of these words (1,024, 8,192 and 24,576),
and Cohere at `high` to think as it likes. It is an approximation, and shown as one."""


def written() -> str:
    """The whole page."""
    sections = [_INTRODUCTION, _dialects()]
    sections += (_of_caller(caller) for caller in _ordered(CALLERS))
    sections.append(_explanations())
    return "\n".join(sections)


def _dialects() -> str:
    rows = [
        (
            _TITLES[dialect],
            f"`{dialect}`",
            "yes" if dialect in CALLER_DIALECTS else "",
            _upstream_word(dialect),
        )
        for dialect in _TITLES
        if dialect in CALLER_DIALECTS or dialect in UPSTREAM_DIALECTS
    ]
    return _table(("Dialect", "Name", "Callers", "Upstreams"), rows)


def _upstream_word(dialect: str) -> str:
    if dialect in UPSTREAM_DIALECTS:
        return "yes"
    return "its own callers only" if corpora.is_passed(dialect) else ""


def _of_caller(caller: str) -> str:
    upstreams = _ordered(upstream for name, upstream in PAIRS if name == caller)
    header = ("", *(_TITLES[upstream] for upstream in upstreams))
    questions, words = _rows(_questions(caller), upstreams)
    answers, answer_words = _rows(_answers(caller), upstreams)
    return "\n".join(
        [
            f"\n## Callers: {_TITLES[caller]}\n",
            "### What they ask for\n",
            _table(header, questions),
            *words,
            "### What they are told\n",
            _table(header, answers),
            *answer_words,
        ]
    )


def _questions(caller: str) -> Iterator[tuple[str, str, Callable[[str], Judgement]]]:
    for feature in FEATURES:
        yield (
            feature.group,
            feature.name,
            lambda upstream, feature=feature: judged(caller, upstream, feature),
        )


def _answers(caller: str) -> Iterator[tuple[str, str, Callable[[str], Judgement]]]:
    for name, title in _ANSWERS.items():
        yield "", title, lambda upstream, name=name: _answer(caller, upstream, name)
    yield "", "signatures that come back", lambda upstream: _echo(caller, upstream)


def _answer(caller: str, upstream: str, name: str) -> Judgement:
    if name not in corpora.answers(upstream) or expected(upstream, name) is None:
        return Judgement(Outcome.UNSAID)
    if caller == upstream:
        return Judgement(Outcome.PASSED)
    return judged_answer(caller, upstream, name)


def _echo(caller: str, upstream: str) -> Judgement:
    if upstream not in SIGNED:
        return Judgement(Outcome.UNSAID)
    if caller == upstream:
        return Judgement(Outcome.PASSED)
    outcomes = [judged_echo(caller, upstream, name) for name in SIGNED[upstream]]
    return next((it for it in outcomes if it.outcome is not Outcome.CARRIED), outcomes[0])


def _rows(
    judges: Iterable[tuple[str, str, Callable[[str], Judgement]]], upstreams: list[str]
) -> tuple[list[tuple[str, ...]], list[str]]:
    """The rows of a table, each group below its name, and what its signs leave open."""
    rows: list[tuple[str, ...]] = []
    words: list[str] = []
    last = ""
    for group, name, judge in judges:
        judgements = {upstream: judge(upstream) for upstream in upstreams}
        if all(it.outcome is Outcome.UNSAID for it in judgements.values()):
            continue
        if group != last:
            rows.append((f"**{group}**", *("" for _ in upstreams)))
            last = group
        rows.append((name, *(_SYMBOLS[it.outcome] for it in judgements.values())))
        words += _words(name, judgements)
    return rows, [*words, ""] if words else []


def _words(name: str, judgements: dict[str, Judgement]) -> Iterator[str]:
    told: dict[str, list[str]] = {}
    for upstream, judgement in judgements.items():
        if judgement.outcome is Outcome.APPROXIMATED:
            told.setdefault(judgement.note, []).append(_TITLES[upstream])
    for note, upstreams in told.items():
        yield f"- {name}, {', '.join(upstreams)}: {note}"


def _explanations() -> str:
    missing = {
        (what, caller)
        for caller, upstream in TRANSLATED
        for name in corpora.answers(upstream)
        if (judgement := judged_answer(caller, upstream, name)).outcome is Outcome.LEFT_OUT
        for what in judgement.note.split(", ")
    }
    left_out = [
        (_WHAT.get(what, what), _TITLES[caller], why)
        for what, callers in LEFT_OUT.items()
        for caller, why in callers.items()
        if (what, caller) in missing
    ]
    added = [(f"`{_legible(path)}`", why) for path, why in ADDITIONS.items()]
    return "\n".join(
        [
            "\n## What callers are not told\n",
            _table(("What", "Callers", "Why"), left_out),
            "## Errors of upstreams\n",
            _errors(),
            "## What upstreams are told that nobody asked for\n",
            _table(("Member of the neutral form", "Why"), added),
            "## What is left out of requests\n",
            _HINTS,
            "\n## How hard to think\n",
            _THINKING,
            "",
        ]
    )


def _errors() -> str:
    callers = [caller for caller in _ordered(CALLERS) if told(caller, STATUSES[0]) is not None]
    rows = []
    for status in STATUSES:
        errors = [told(caller, status) for caller in callers]
        words = (f"{error.status} `{error.word}`" for error in errors if error is not None)
        rows.append((str(status), *words))
    return _table(("An upstream's status", *(_TITLES[caller] for caller in callers)), rows)


def _legible(pattern: str) -> str:
    return pattern.replace(r"\[\d+\]", "[]").replace(r"\.", ".").replace(".*", "*")


def _ordered(dialects: Iterable[str]) -> list[str]:
    found = set(dialects)
    return [dialect for dialect in _TITLES if dialect in found]


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    rule = ("---", *(":---:" if len(title) > 8 or not title else "---" for title in header[1:]))
    lines = [header, rule, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
