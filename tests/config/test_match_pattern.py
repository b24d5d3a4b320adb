import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.config.match_pattern import PatternError, compiled, parse_pattern

ATOMS = st.sampled_from(
    ["a", "b", "é", ".", r"\d", "[ab]", "[^a]", r"\x61", r"\x{e9}", r"\.", r"[\]-]", r"\pL"]
)
ASSERTIONS = st.sampled_from([r"\b", r"\B", "^", "$", r"\z"])


def grown(inner):
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join).map("({})".format),
        st.tuples(inner, st.sampled_from(["?", "{0,2}", "{2}", "{1,3}", "*", "+?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    )


PATTERNS = st.recursive(st.one_of(ATOMS, ATOMS, ASSERTIONS), grown, max_leaves=8)
TEXTS = st.text("ab1 .é]\n", max_size=12)


@given(PATTERNS, TEXTS)
def test_whatever_begins_a_match_is_unfinished_and_no_match_is_longer_than_its_reach(source, text):
    try:
        pattern = parse_pattern(source)
    except PatternError:
        return
    data = text.encode()
    found = compiled(source).search(data)
    if found is None:
        return
    start, end = found.span()

    assert end - start <= pattern.reach
    for cut in range(start + 1, end + 1):
        if cut < len(data) and 0x80 <= data[cut] < 0xC0:
            continue  # texts are cut between characters
        assert compiled(pattern.unfinished).search(data[:cut], 0).start() <= start


@pytest.mark.parametrize(
    ("source", "reach"),
    [
        ("abc", 3),
        ("(?i)abc", 12),
        ("é", 4),
        (r"\d{2,5}x?", 6),
        ("[a-f]{2}|[^a]", 4),
        (r"\bab\b$", 2),
        ("(?P<name>ab){3}", 6),
    ],
)
def test_the_reach_is_the_most_bytes_of_a_match(source, reach):
    assert parse_pattern(source).reach == reach


@pytest.mark.parametrize("source", ["a+", "a{2,}", "(?:a*b)+", ".*x"])
def test_what_has_no_bound_has_a_reach_beyond_all_bounds(source):
    assert parse_pattern(source).reach >= 1 << 30


@pytest.mark.parametrize("source", ["", "a?", "(?:a|)", r"\b", "^", "x{0}", "(?i)"])
def test_a_pattern_that_can_match_nothing_is_refused(source):
    with pytest.raises(PatternError, match="matches the empty text"):
        parse_pattern(source)


def test_what_would_take_long_to_compile_is_refused():
    with pytest.raises(PatternError, match="is too large"):
        parse_pattern(r"\pL{60}")


def test_deep_nesting_is_refused_and_not_a_crash():
    with pytest.raises(PatternError, match=re.escape("nested more than 50 levels deep")):
        parse_pattern("(" * 400 + "a" + ")" * 400)
