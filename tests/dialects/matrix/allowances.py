"""What may differ between what was asked for and what has arrived, and why."""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

ADDITIONS: dict[str, str] = {
    r"max_output_tokens": "Anthropic's API demands a bound; without one of the caller's it is set",
    r".*\.filename": "Bedrock demands a name of every document",
    r".*\.media_type": "what is fetched from an address says itself what it is",
    r"tools\[\d+\]\.parameters_json": "a tool without parameters takes an object without members",
    r"tool_choice\.mode": "to be asked for one call at a time, an upstream is told how to choose",
    r"response_format\.name": "OpenAI's APIs demand a name of every schema",
}
"""What a writer may add, by path."""

_REASONING = {"reasoning_effort", "reasoning_budget_tokens", "shows_reasoning"}
_HARMLESS_VALUES = {"tool_choice.mode": ("auto",)}
_HINTS = re.compile(r"\.?(cache_point\..*|ttl)$|^(user|shows_reasoning)$")


def is_addition(path: str, value: Any) -> bool:
    """Whether a writer may add this."""
    values = _HARMLESS_VALUES.get(path)
    return any(re.fullmatch(pattern, path) for pattern in ADDITIONS) and (
        values is None or value in values
    )


def is_approximation(
    lost: AbstractSet[str],
    added: AbstractSet[str],
    sent: Mapping[str, Any],
    arrived: Mapping[str, Any],
) -> str:
    """In which words, not quite the same ones, the upstream is told; empty for in none."""
    if lost and lost | added <= _REASONING and any(name in arrived for name in _REASONING):
        told = ", ".join(
            f"{name} {arrived[name]}" for name in sorted(_REASONING) if name in arrived
        )
        return f"as {told}"
    return ""


def is_hint(sent: Mapping[str, Any], arrived: Mapping[str, Any]) -> bool:
    """Whether all that is missing are hints, and thoughts: nothing that an answer depends on."""
    return _said(sent) == _said(arrived)


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
