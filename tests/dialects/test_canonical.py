"""All spellings of a request have one form, and no two requests share one."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects.canonical import NoCanonicalFormError, json_form

texts = st.text(max_size=8)
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=4)


def spelled(value: object, chance: random.Random) -> str:
    """One of the ways in which a value can be written."""
    blank = chance.choice(["", " ", "\n\t", "\r "])
    match value:
        case dict():
            members = list(value.items())
            chance.shuffle(members)
            inner = ",".join(
                f"{blank}{spelled(name, chance)}{blank}:{spelled(item, chance)}"
                for name, item in members
            )
            return f"{blank}{{{inner}{blank}}}{blank}"
        case list():
            return f"{blank}[{','.join(spelled(item, chance) for item in value)}{blank}]{blank}"
        case str():
            return '"' + "".join(_letter(letter, chance) for letter in value) + '"'
        case float():
            return chance.choice([repr(value), f"{value!r}".upper(), f"{value:.25e}"])
    return json.dumps(value)


def _letter(letter: str, chance: random.Random) -> str:
    plain = json.dumps(letter, ensure_ascii=False)[1:-1]
    units = letter.encode("utf-16-be", "surrogatepass")
    escaped = "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
    is_half = 0xD800 <= ord(letter) < 0xE000
    return (
        escaped if is_half else chance.choice([plain, escaped, escaped.upper().replace("U", "u")])
    )


@given(objects, st.randoms(use_true_random=False))
def test_order_blanks_and_escapes_change_nothing(value, chance):
    first, second = spelled(value, chance), spelled(value, chance)

    assert json_form(first.encode()) == json_form(second.encode())


@given(objects, objects)
def test_no_two_objects_share_a_form(one, other):
    forms = [json_form(json.dumps(value).encode()) for value in (one, other)]

    assert (forms[0] == forms[1]) == _equal(one, other)


@given(objects, st.data())
def test_a_value_that_is_changed_anywhere_changes_the_form(value, data):
    changed = json.loads(json.dumps(value))
    name = data.draw(st.sampled_from(sorted(value)) if value else st.just("new"))
    changed[name] = data.draw(values)

    same = name in value and _equal(changed[name], value[name])
    forms = [json_form(json.dumps(each).encode()) for each in (value, changed)]
    assert (forms[0] == forms[1]) == same


def _equal(one: object, other: object) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return repr(one) == repr(other)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1, "a": 2}',
        b'{"a": 1, "\\u0061": 1}',
        b'{"a": [{"b": {"c": 1, "c": 1}}]}',
        b"[1]",
        b'"a"',
        b"",
        b"{",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b'{"a": -Infinity}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"9" * 5_000 + b"}",
    ],
)
def test_what_can_be_read_in_two_ways_or_in_none_has_no_form(body):
    with pytest.raises(NoCanonicalFormError):
        json_form(body)
