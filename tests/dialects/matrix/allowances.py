"""What may differ between what was asked for and what has arrived, and why."""

import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

ADDITIONS: dict[str, str] = {
    r"max_output_tokens": "Anthropic's API demands a bound; without one of the caller's it is set",
    r".*\.filename": "Bedrock demands a name of every document",
    r"tool_choice\.mode": "to be asked for one call at a time, an upstream is told how to choose",
    r"response_format\.strict": "Anthropic's schemas are always kept to",
    r"response_format\.name": "OpenAI's APIs demand a name of every schema",
}
"""What a writer may add, by path."""

THINKING = ("reasoning_effort", "reasoning_budget_tokens")
"""The two ways to say how hard, or how much, to think."""

_REASONING = {*THINKING, "shows_reasoning"}
_FORM = "response_format."
_HARMLESS_VALUES = {"tool_choice.mode": ("auto",), "response_format.strict": (True,)}
_HINTS = re.compile(
    r"\.?(cache_point\..*|ttl|filename)$|^(user|shows_reasoning|metadata\..*|parallel_tool_calls|reasoning_effort)$"
)


def is_addition(path: str, value: Any) -> bool:
    """Whether a writer may add this."""
    values = _HARMLESS_VALUES.get(path)
    return any(re.fullmatch(pattern, path) for pattern in ADDITIONS) and (
        values is None or value in values
    )


def approximation(
    lost: AbstractSet[str],
    added: AbstractSet[str],
    sent: Mapping[str, Any],
    arrived: Mapping[str, Any],
) -> str:
    """In which words, not quite the same ones, the upstream is told; empty for in none."""
    if lost | added <= _REASONING and _REASONING & {*sent} and _REASONING & {*arrived}:
        told = (f"{name} {arrived[name]}" for name in sorted(_REASONING & {*arrived}))
        return f"as {', '.join(told)}"
    if not added and lost and all(_is_refusal_as_text(path, sent, arrived) for path in lost):
        return "as text"
    if not added and _is_failure_in_words(lost, sent, arrived):
        return "in words"
    if (lost or added) and _turned(sent) == _turned(arrived):
        return "before all turns"
    if not added and lost and all(path.startswith(_FORM) for path in lost):
        return _schema(lost, sent, arrived)
    return ""


def is_hint(sent: Mapping[str, Any], arrived: Mapping[str, Any]) -> bool:
    """Whether all that is missing are hints, and thoughts: nothing that an answer depends on."""
    return _said(sent) == _said(arrived)


def _turned(plain: Mapping[str, Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """System prompts, what the others say, and what is not of the conversation."""
    roles = {path[: -len("role")]: role for path, role in plain.items() if path.endswith("].role")}
    prompts: list[Any] = []
    turns: list[Any] = []
    rest: list[Any] = []
    for path, value in plain.items():
        turn = next((turn for turn in roles if path.startswith(turn)), "")
        if not turn:
            rest.append((path, value))
        elif path != f"{turn}role":
            of_side = prompts if roles[turn] == "system" else turns
            of_side.append((roles[turn], path[len(turn) :], value))
    return prompts, turns, rest


def _is_refusal_as_text(path: str, sent: Mapping[str, Any], arrived: Mapping[str, Any]) -> bool:
    return sent[path] == "Refusal" and arrived.get(path) == "Text"


def _is_failure_in_words(
    lost: AbstractSet[str], sent: Mapping[str, Any], arrived: Mapping[str, Any]
) -> bool:
    """Whether all that is missing of a failed result is said before its text."""
    flags = {path for path in lost if path.endswith(".is_error")}
    texts = lost - flags
    return (
        bool(flags)
        and bool(texts)
        and all(path.endswith(".text") for path in texts)
        and all(str(arrived.get(path, "")).endswith(f" {sent[path]}") for path in texts)
    )


def _schema(lost: AbstractSet[str], sent: Mapping[str, Any], arrived: Mapping[str, Any]) -> str:
    """How a schema is told where it has no name, and where it bears its own description."""
    if lost <= {f"{_FORM}name", f"{_FORM}strict"} and sent.get(f"{_FORM}strict") is not False:
        return "without a name of its own; every schema is kept to"
    description, schema = (
        sent.get(f"{_FORM}description"),
        json.loads(arrived.get(f"{_FORM}schema_json", "{}")),
    )
    own = json.loads(sent.get(f"{_FORM}schema_json", "{}"))
    if schema == {**own, "description": description}:
        return "within the schema"
    return ""


def _said(plain: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What is said but hints and thoughts, whatever its place among them."""
    silent = {
        path.removesuffix(".kind")
        for path, value in plain.items()
        if path.endswith(".kind") and value in ("CachePoint", "Reasoning")
    }
    return [
        (re.sub(r"parts\[\d+\]", "parts[]", path), value)
        for path, value in plain.items()
        if not _HINTS.search(path)
        and not any(path.startswith(f"{part}.") for part in silent)
        and not is_addition(path, value)
    ]
