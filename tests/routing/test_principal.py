"""Which models a principal may use."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.routing.principal import Principal
from meshgate.runtime.errors import ModelNotAllowedError


def principal(*allowed: str) -> Principal:
    return Principal("p", False, frozenset(allowed), False, None)


@pytest.mark.parametrize(
    ("allowed", "model", "may"),
    [
        (["gpt-4o"], "gpt-4o", True),
        (["gpt-4o"], "gpt-4o-mini", False),
        (["gpt-4o"], "GPT-4o", False),
        (["gpt-*"], "gpt-4o", True),
        (["gpt-*"], "gpt-", True),
        (["gpt-*"], "my-gpt-4o", False),
        (["*-mini"], "gpt-4o-mini", True),
        (["*-mini"], "gpt-4o-mini-2", False),
        (["a*b*a"], "aba", True),
        (["a*b*a"], "ab", False),
        (["a*a"], "a", False),
        (["*"], "anything/at all\n", True),
        (["**"], "", True),
        (["meta/*"], "meta/llama/3", True),
        (["gpt-?"], "gpt-4", False),
        (["gpt-?*"], "gpt-4", False),
        (["gpt-?*"], "gpt-?", True),
        (["gpt-[45]*"], "gpt-4", False),
        (["gpt-[45]*"], "gpt-[45]o", True),
        (["gpt-4.1*"], "gpt-4x1", False),
        (["a*", "b*"], "beta", True),
        (["a*", "b*"], "ab", True),
        (["a*", "b*"], "cab", False),
        ([], "gpt-4o", False),
    ],
)
def test_only_the_star_is_special(allowed: list[str], model: str, may: bool) -> None:
    assert principal(*allowed).may_use(model) is may


few_letters = st.text("ab*", max_size=8)
any_letters = st.text(string.printable + "é模", max_size=12)


def by_backtracking(pattern: str, text: str) -> bool:
    """The plain definition: a star takes any run of characters."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(by_backtracking(pattern[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and pattern[0] == text[0] and by_backtracking(pattern[1:], text[1:])


@given(st.lists(few_letters, max_size=4), st.text("ab", max_size=10))
def test_patterns_mean_what_their_definition_says(patterns: list[str], name: str) -> None:
    may = principal(*patterns).may_use(name)

    assert may == any(by_backtracking(pattern, name) for pattern in patterns)


@given(any_letters, any_letters, any_letters)
def test_whatever_stands_around_a_star_stands_for_itself(
    before: str, between: str, after: str
) -> None:
    pattern = f"{before.replace('*', '')}*{after.replace('*', '')}"
    name = f"{before.replace('*', '')}{between}{after.replace('*', '')}"

    assert principal(pattern).may_use(name)


def test_a_pattern_full_of_stars_is_decided_at_once() -> None:
    pattern = "*a" * 90 + "*b"

    assert not principal(pattern).may_use("a" * 512)


def test_a_refusal_names_the_model() -> None:
    with pytest.raises(ModelNotAllowedError) as raised:
        principal("gpt-4o").check("o3")

    assert raised.value.values == {"model": "o3"}
