import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.config.document import read_document


def sentences(text: str | bytes) -> list[str]:
    content = text if isinstance(text, bytes) else text.encode()
    return [str(problem) for problem in read_document("f", content).problems]


def test_words_of_yaml_1_1_stay_words():
    document = read_document("f", b"on: no\nyes: 2026-01-01\ntime: 1:30\n1: true")

    assert document.value == {"on": "no", "yes": "2026-01-01", "time": "1:30", "1": True}
    assert document.problems == []


def test_every_value_has_its_line():
    document = read_document("f", b"a:\n  - b: 1\n    c: 2\n")

    assert document.lines["a",] == 1
    assert document.lines["a", 0, "c"] == 3


def test_anchors_and_merges_work():
    document = read_document("f", b"a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a]\n")

    assert document.value["b"] == {"x": 1, "y": 3}
    assert document.value["c"] == [{"x": 1, "y": 2}]


def test_a_key_that_stands_twice_is_told_with_both_lines():
    assert sentences("a:\n  b: 1\n  b: 2\n") == [
        "f:3: a.b: stands here twice: it is also in line 2; remove one of them"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1\nb: 2", "f:2: is not YAML: "),
        ("a: *b", "f:1: is not YAML: "),
        ("a: 1\n---\nb: 2", "f:2: is not YAML: "),
        (b"a: 1\nb: \xff", "f:2: is not UTF-8 text"),
        ("a: !!python/object:os.system x", "f:1: a: the tag "),
        ("a: !!int x", "f:1: a: the tag "),
        ("? [a, b]\n: 1", "f:1: has a field whose name is not a word"),
        ("a: {<<: 3}", "f:1: a: `<<` takes a mapping"),
        ("[" * 5000, "f:1: is nested more than"),
        ("a: &a [*a]", "f:1: is too large once its aliases are written out"),
        ("a: &a {<<: *a}", "f:1: is too large once its aliases are written out"),
    ],
)
def test_what_is_not_a_document_is_told_with_its_line(text, expected):
    told = sentences(text)

    assert len(told) == 1
    assert told[0].startswith(expected)


@pytest.mark.parametrize(
    "number", ["0.1", "1e3", "0.000000001", "123456789.123456", "1.50", "5e-324", "1e999"]
)
def test_a_number_is_read_as_it_is_written(number):
    assert sentences(f"a: {number}") == []


@pytest.mark.parametrize(
    "number", ["8999999.123456789", "0.1000000000000000055", "1e-999", "1e-9999999999999999999"]
)
def test_a_number_that_would_be_rounded_is_refused(number):
    assert sentences(f"a:\n- {number}") == [
        "f:2: a[0]: has more digits than are read exactly: quote it, or use fewer"
    ]


def test_aliases_cannot_blow_up():
    levels = [b"a0: &a0 [1, 1]"]
    levels += [b"a%d: &a%d [%s]" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 12)]

    document = read_document("f", b"\n".join(levels))

    assert document.value is None
    assert "too large" in document.problems[0].sentence


def test_merges_cannot_blow_up():
    fields = b", ".join(b"k%d: 1" % n for n in range(100))
    levels = [b"a0: &a0 {%s}" % fields]
    levels += [
        b"a%d: &a%d {<<: [%s]}" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 9)
    ]

    document = read_document("f", b"\n".join(levels))

    assert "too large" in document.problems[0].sentence


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content):
    document = read_document("f", content)

    assert document.value is None or document.lines


@given(st.text(alphabet="ab:-[]{}&*!<>|#'\"\n 1", max_size=80))
def test_any_punctuation_is_read_or_refused(text):
    document = read_document("f", text.encode())

    assert document.value is None or document.lines
