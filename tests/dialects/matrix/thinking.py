"""How upstreams whose requests nobody here reads are told how hard, and how much, to think.

Bedrock's Claude before 4.6 and Cohere have budgets and no words for it: those that stand here for words
are our own.
"""

from typing import Any

from dialects.matrix.ways import InOtherWords

BUDGETS = {
    "small reasoning budget": 1_024,
    "reasoning budget": 4_096,
    "large reasoning budget": 16_000,
}
"""Features of requests, and how many tokens they allow."""

_WORDS = {"minimal": 4_096, "low": 4_096, "medium": 8_192, "high": 16_384}


def _bedrock(**thinking: Any) -> dict[str, Any]:
    return {"additionalModelRequestFields": {"thinking": thinking}}


def _cohere(**thinking: Any) -> dict[str, Any]:
    return {"thinking": thinking}


BEDROCK: dict[str, Any] = {
    **{name: _bedrock(type="enabled", budget_tokens=most) for name, most in BUDGETS.items()},
    **{
        f"reasoning effort: {word}": InOtherWords(
            f"as budget_tokens {most}", _bedrock(type="enabled", budget_tokens=most)
        )
        for word, most in _WORDS.items()
    },
    "reasoning effort: none": _bedrock(type="disabled"),
    "no reasoning": _bedrock(type="disabled"),
}
COHERE: dict[str, Any] = {
    **{name: _cohere(type="enabled", token_budget=most) for name, most in BUDGETS.items()},
    **{
        f"reasoning effort: {word}": InOtherWords(
            f"as token_budget {most}", _cohere(type="enabled", token_budget=most)
        )
        for word, most in _WORDS.items()
    },
    "reasoning effort: high": InOtherWords("as thinking", _cohere(type="enabled")),
    "reasoning effort: none": _cohere(type="disabled"),
    "no reasoning": _cohere(type="disabled"),
}
