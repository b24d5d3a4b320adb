import pytest
from guardrails.policies import found, masked, masked_json, masking, ruleset, verdict
from guardrails.samples import JWT, MESHGATE_KEY

from meshgate.config.snapshot import DetectRule, PatternRule, PhraseRule
from meshgate.guardrails.checking import AnswerCheck, TextKind, TextSegment, check
from meshgate.guardrails.findings import Action

MAIL = "a@example.com"


def test_findings_are_told_by_rule_and_place_with_their_number():
    rules = ruleset(DetectRule("mask", "pii"), DetectRule("observe", "email"))
    segments = [
        TextSegment("first", TextKind.WORDS, f"{MAIL} {MAIL} 8.8.8.8"),
        TextSegment("second", TextKind.WORDS, MAIL),
    ]

    findings = check(rules, segments).findings

    assert {
        (f.rule.policy, f.rule.rule, f.detector, f.action.value, f.locator, f.count)
        for f in findings
    } == {
        ("p", "pii/0", "email", "mask", "first", 2),
        ("p", "pii/0", "ip-address", "mask", "first", 1),
        ("p", "pii/0", "email", "mask", "second", 1),
        ("p", "email/1", "email", "observe", "first", 2),
        ("p", "email/1", "email", "observe", "second", 1),
    }


def test_only_segments_that_change_are_given_back():
    segments = [
        TextSegment("first", TextKind.WORDS, "nothing here"),
        TextSegment("second", TextKind.WORDS, MAIL),
    ]

    changed = check(masking("email"), segments).changed

    assert changed == (TextSegment("second", TextKind.WORDS, "[EMAIL]"),)


def test_a_rule_that_blocks_wins_over_all_others():
    rules = ruleset(DetectRule("mask", "email"), DetectRule("block", "secrets"))

    outcome = verdict(rules, f"{MAIL} {MESHGATE_KEY}")

    assert outcome.changed == ()
    assert outcome.block is not None
    assert (outcome.block.rule.rule, outcome.block.detector) == ("secrets/1", "api-key")
    assert {f.action for f in outcome.findings} == {Action.MASK, Action.BLOCK}


def test_a_rule_in_shadow_does_nothing_and_tells_what_it_would_do():
    rules = ruleset(DetectRule("block", "email", shadow=True))

    outcome = verdict(rules, MAIL)

    assert (outcome.changed, outcome.block) == ((), None)
    assert found(rules, MAIL) == [("email/0", "email", "block", True, 1)]


def test_observing_changes_nothing():
    rules = ruleset(DetectRule("observe", "email"))

    assert masked(rules, MAIL) == MAIL
    assert found(rules, MAIL) == [("email/0", "email", "observe", False, 1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abcd", "[LONG]"),
        ("xabcdx", "x[LONG]x"),
        ("bcdefx", "[MIDDLE]x"),
        # What overlaps is masked together, by the name of what begins first.
        ("abcdef", "[LONG]"),
        ("abcdefabcd", "[LONG][LONG]"),
    ],
)
def test_findings_that_overlap_are_masked_together(text, expected):
    rules = ruleset(
        PatternRule("mask", "short", "ab", 10),
        PatternRule("mask", "long", "abcd", 10),
        PatternRule("mask", "middle", "bcdef", 10),
    )

    assert masked(rules, text) == expected


def test_what_one_rule_finds_twice_in_one_place_is_told_once():
    rules = ruleset(DetectRule("mask", "secrets"))

    assert found(rules, f"{JWT}") == [("secrets/0", "jwt", "mask", False, 1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Project BLUEBIRD is", "Project [PHRASE] is"),
        ("bluebirds", "bluebirds"),
        ("unbluebird", "unbluebird"),
        ("(bluebird)", "([PHRASE])"),
        ("blue_bird bluebird_x", "blue_bird [PHRASE]_x"),
        ("STRASSE Straße", "STRASSE [PHRASE]"),
        ("ÄRGER ärger", "[PHRASE] [PHRASE]"),
        ("Σίσυφος ΣΊΣΥΦΟΣ", "[PHRASE] [PHRASE]"),
        ("秘密の計画です", "[PHRASE]です"),
        ("\u212aelvin", "[PHRASE]"),
        ("bluebird song", "[PHRASE]"),
        ("bluebird songs", "[PHRASE] songs"),
        ("-=x=-", "-[PHRASE]-"),
    ],
)
def test_phrases_are_whole_words_in_whatever_case(text, expected):
    phrases = (
        "bluebird",
        "bluebird song",
        "Straße",
        "Ärger",
        "σίσυφος",
        "秘密の計画",
        "kelvin",
        "=x=",
    )
    rules = ruleset(PhraseRule("mask", phrases))

    assert masked(rules, text) == expected


@pytest.mark.parametrize(
    ("pattern", "longest", "text", "expected"),
    [
        (r"T-\d+", 8, "T-123456789", "[X]789"),
        (r"\d+", 3, "12345678", "[X][X][X]"),
        (r"a.*b", 5, "a-----b a--b", "a-----b [X]"),
        (r"(?i)secret", 256, "SeCrEt", "[X]"),
        (r"^top", 256, "top\ntop", "[X]\ntop"),
        (r"(?m)^top$", 256, "top\ntop\ntops", "[X]\n[X]\ntops"),
        (r"end$", 256, "end end", "end [X]"),
        (r"é+", 5, "ééé", "[X][X]"),
        (r"\bab\b", 256, "ab abc cab ab", "[X] abc cab [X]"),
    ],
)
def test_patterns_match_as_if_longer_matches_did_not_exist(pattern, longest, text, expected):
    rules = ruleset(PatternRule("mask", "x", pattern, longest))

    assert masked(rules, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": "a@example.com"}', '{"a": "[EMAIL]"}'),
        (r'{"a": "\u0061@example.com"}', '{"a": "[EMAIL]"}'),
        (r'["\ud83d\ude00 a@example.com \u00e9\/"]', r'["\ud83d\ude00 [EMAIL] \u00e9\/"]'),
        (r'["\"a@example.com\"\n"]', r'["\"[EMAIL]\"\n"]'),
        ('{"a@example.com": 1}', '{"a@example.com": 1}'),
        ('{"n": 4111111111111111, "m": 1.50}', '{"n": "[CREDIT_CARD]", "m": 1.50}'),
        ("4111111111111111", '"[CREDIT_CARD]"'),
        ('[true, null, -1e5, "x"]', '[true, null, -1e5, "x"]'),
        ('["a@example', '["a@example'),
        ('{"a": "a@example.com', '{"a": "[EMAIL]'),
        # What is no JSON is text from there on.
        ("write to a@example.com", "write to [EMAIL]"),
        ('{"a": 1} a@example.com', '{"a": 1} [EMAIL]'),
        ("{a: 'a@example.com'}", "{a: '[EMAIL]'}"),
        ("[" * 600 + '"a@example.com"', "[" * 600 + '"[EMAIL]"'),
        (f"[{'7' * 300}, 8.8.8.8]", f"[{'7' * 300}, [IP_ADDRESS]]"),
    ],
)
def test_json_is_masked_in_its_values(text, expected):
    assert masked_json(masking("pii"), text) == expected


def test_names_of_members_can_block():
    rules = ruleset(DetectRule("block", "email"))

    assert verdict(rules, '{"a@example.com": 1}', TextKind.JSON).block is not None


def test_what_cannot_be_masked_in_a_name_is_told_as_observed():
    assert found(masking("email"), '{"a@example.com": 1}', TextKind.JSON) == [
        ("email/0", "email", "observe", False, 1)
    ]


def test_patterns_that_are_too_large_to_be_looked_for_at_once_find_the_same():
    large = [PatternRule("mask", f"n{first}", rf"{first}\pL{{20}}", 90) for first in "abc"]
    small = PatternRule("mask", "ticket", r"T-\d{3}", 5)
    answer = AnswerCheck(ruleset(*large, small))

    parts = ("see T-1", "23 or axxxxxxxxxx", "xxxxxxxxxxx.")
    shown = [answer.text("c", TextKind.WORDS, part, last=part == parts[-1]) for part in parts]

    assert shown == ["see ", "[TICKET] or ", "[NA]x."]


def test_large_texts_are_looked_through_like_small_ones():
    text = f"{'x' * 65_530} {MAIL} " * 3

    assert masked(masking("email"), text) == f"{'x' * 65_530} [EMAIL] " * 3
