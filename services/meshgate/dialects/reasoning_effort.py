"""How hard to think, and how much: what is said in one of the two ways, told in the other.

Some upstreams have words for it (OpenAI, Anthropic's and Google's later models), others a number of
tokens (Cohere, Anthropic's and Google's earlier models). A caller who says it in the way that the
upstream does not know is understood all the same, though not to the token.
"""

from collections.abc import Mapping

NONE = "none"
_MOST = "high"
# Below so many tokens it is that word, and from the last on the most.
_BELOW = ((1, NONE), (2_048, "low"), (8_192, "medium"))
_ORDER = (NONE, "minimal", "low", "medium", _MOST)
BUDGETS: Mapping[str, int] = {"minimal": 4_096, "low": 4_096, "medium": 8_192, _MOST: 16_384}
"""What a word is in tokens, where an upstream says nothing of it itself."""


def effort_of(said: str | None, budget: int | None) -> str | None:
    """How hard to think: as `said`, but no harder than the budget lets think; None if neither is told."""
    if budget is None:
        return said
    allowed = next((word for below, word in _BELOW if budget < below), _MOST)
    if said is None:
        return allowed
    is_bound = allowed != _MOST and _rank(allowed) < _rank(said)
    return allowed if is_bound else said


def budget_of(
    said: int | None, effort: str | None, budgets: Mapping[str, int] = BUDGETS
) -> int | None:
    """How much to think: as `said`, but no more than the effort calls for.

    None if neither is told, or nothing but an effort that is not known in tokens.
    """
    called_for = 0 if effort == NONE else budgets.get(effort or "")
    if said is None or called_for is None:
        return called_for if said is None else said
    return min(said, called_for)


def _rank(word: str) -> int:
    """Words that only some models know stand above the others."""
    return _ORDER.index(word) if word in _ORDER else len(_ORDER)
