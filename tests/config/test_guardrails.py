import pytest

from meshgate.config.loading import check, load
from meshgate.config.snapshot import DetectRule, GuardrailPolicy, PatternRule, PhraseRule

EVERYTHING = """\
providers: {demo: {kind: demo}}
models:
  a: {targets: [{provider: demo}], guardrails: [strict, loose]}
guardrails:
  strict:
    input: [{detect: secrets, action: block}, {phrases: [Blue Bird, x], action: mask, shadow: true}]
    on_error: open
  loose:
    output: [{pattern: 'T-\\d+', name: ticket, action: observe, max_length: 20}]
"""


def told(directory, text: str) -> list[str]:
    prefix = f"{directory.path}/"
    return [str(problem).replace(prefix, "") for problem in check(directory.write(text))]


def test_policies_are_read_as_they_are_written(directory):
    snapshot = load(directory.write(EVERYTHING))

    assert snapshot.models["a"].guardrails == ("strict", "loose")
    assert snapshot.guardrails == {
        "strict": GuardrailPolicy(
            "strict",
            input=(
                DetectRule("block", "secrets"),
                PhraseRule("mask", ("Blue Bird", "x"), shadow=True),
            ),
            on_error="open",
        ),
        "loose": GuardrailPolicy("loose", output=(PatternRule("observe", "ticket", r"T-\d+", 20),)),
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [("action: block", "action: mask"), ("open", "closed"), ("[strict, loose]", "[loose, strict]")],
)
def test_a_change_of_a_policy_is_a_change_of_revision(directory, before, after):
    first = load(directory.write(EVERYTHING)).revision

    second = load(directory.write(EVERYTHING.replace(before, after))).revision

    assert first != second


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("action: block", "must have exactly one of `detect`, `phrases` and `pattern`"),
        ("detect: pii, phrases: [a], action: mask", "must have exactly one of"),
        ("phrases: [], action: mask", "finds nothing: name what is to be found"),
        ("phrases: [''], action: mask", "phrases: holds a phrase that is empty"),
        ("phrases: [' a'], action: mask", "phrases: holds a phrase that is empty, has blanks"),
        ("detect: pii", "action: is missing. What is done about a finding."),
        ("detect: pii, action: drop", "action: unknown word drop: use one of block, mask, observe"),
        ("detect: emial, action: mask", "did you mean email?"),
        ("detect: pii, action: mask, shdow: true", "unknown field shdow; did you mean shadow?"),
        ("detect: pii, action: mask, shadow: 1", "shadow: must be true or false"),
        ("pattern: 'a*', name: n, action: mask", "pattern: matches the empty text"),
        ("pattern: '^$|b', name: n, action: mask", "pattern: matches the empty text"),
        ("pattern: '(?=a)b', name: n, action: mask", "lookaround and backreferences are not"),
        ("pattern: '(a)\\1', name: n, action: mask", "lookaround and backreferences are not"),
        ("pattern: 'a(?i)b', name: n, action: mask", "pattern: sets flags in its middle"),
        ("pattern: '\\Ca', name: n, action: mask", "pattern: uses \\C, which is not supported"),
        ("pattern: '(a', name: n, action: mask", "pattern: is not a pattern of re2: missing )"),
        ("pattern: 'a', action: mask", "`name` and `pattern` go together"),
        ("detect: pii, name: n, action: mask", "`name` and `pattern` go together"),
        ("detect: pii, max_length: 9, action: mask", "`max_length` is for a `pattern` only"),
        ("pattern: 'a', name: n, max_length: 9000, action: mask", "max_length: must be at most"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_its_line(directory, rule, expected):
    [problem] = told(directory, f"guardrails:\n  p:\n    input:\n      - {{{rule}}}\n")

    assert problem.startswith("meshgate.yaml:4: guardrails.p.input[0]")
    assert expected in problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("guardrails:\n  p: {}\n", "meshgate.yaml:2: guardrails.p: has no rules"),
        ("guardrails: {p: {input: [], output: []}}\n", "guardrails.p: has no rules"),
        ("guardrails: {'a b': {input: []}}\n", "guardrails.a b: must be at most 100 letters"),
        ("guardrails: {p: {inputs: []}}\n", "unknown field inputs; did you mean input?"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(directory, text, expected):
    problems = told(directory, text)

    assert any(expected in problem for problem in problems), problems


def test_a_policy_that_does_not_exist_is_told_where_it_is_named(directory):
    problems = told(directory, EVERYTHING.replace("[strict, loose]", "[strict, lose]"))

    assert problems == [
        "meshgate.yaml:3: models.a.guardrails[1]: there is no guardrail lose; did you mean loose?"
    ]


def test_too_many_rules_are_refused(directory):
    rules = ", ".join(["{detect: pii, action: mask}"] * 65)

    assert (
        "holds 65 rules: 64 are the most"
        in told(directory, f"guardrails: {{p: {{input: [{rules}]}}}}\n")[0]
    )
