import pytest
from guardrails.policies import EVERYTHING, masked, masking
from guardrails.samples import JWT, MASKS, MESHGATE_KEY, NEAR_MISSES, PEM, POSITIVES

from meshgate.guardrails.detectors import DETECTORS

SURROUNDINGS = ["{}", " {} ", "({})", "is {}, and", "“{}”", "\n{}\n", "{}.", "x={};"]


def cases(samples):
    return [(name, sample) for name, several in samples.items() for sample in several]


@pytest.mark.parametrize(("detector", "sample"), cases(POSITIVES))
def test_what_is_to_be_found_is_found_whole_wherever_it_stands(detector, sample):
    rules = masking(detector)

    for surrounding in SURROUNDINGS:
        expected = surrounding.format(MASKS[detector])
        assert masked(rules, surrounding.format(sample)) == expected, surrounding


@pytest.mark.parametrize(("detector", "sample"), cases(NEAR_MISSES))
def test_what_only_looks_like_it_is_left_alone(detector, sample):
    rules = masking(detector)

    for surrounding in ("{}", " {} ", "\n{}\n"):
        text = surrounding.format(sample)
        assert masked(rules, text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ssn 536904399", "ssn [US_SSN]"),
        ("Social Security number: 536904399.", "Social Security number: [US_SSN]."),
        ("number 536904399", "number 536904399"),
        ("cards 4111 1111 1111 1111 12 times", "cards [CREDIT_CARD] 12 times"),
        ("12 4111 1111 1111 1111", "12 [CREDIT_CARD]"),
        ("to DE89 3704 0044 0532 0130 00 by tomorrow", "to [IBAN] by tomorrow"),
        ("a@b.com,c@d.org", "[EMAIL],[EMAIL]"),
        ("at fe80::1: no answer", "at [IP_ADDRESS]: no answer"),
        ("10.0.0.1/24", "[IP_ADDRESS]/24"),
        ("+4930123456781234567 and", "+4930123456781234567 and"),
        ("call +49 30 123456 78901234567890", "call [PHONE] 78901234567890"),
    ],
)
def test_only_what_is_meant_is_masked(text, expected):
    assert masked(masking("pii"), text) == expected


def test_groups_are_what_they_stand_for():
    assert {m.kind.detector for m in DETECTORS["secrets"]} == {"api-key", "jwt", "private-key"}
    assert {m.kind.detector for m in DETECTORS["pii"]} == (
        {"email", "phone", "credit-card", "iban", "us-ssn", "ip-address"}
    )


def test_a_private_key_without_an_end_is_masked_as_far_as_8_kib():
    body = "A" * 20_000

    text = masked(masking("private-key"), f"-----BEGIN PRIVATE KEY-----\n{body}")

    assert text == "[SECRET]" + "A" * (20_000 + 28 - 8192)


def test_secrets_beside_each_other_are_masked_one_by_one():
    text = f"{JWT} {MESHGATE_KEY}\n{PEM}"

    assert masked(masking("secrets"), text) == "[SECRET] [SECRET]\n[SECRET]"


HOSTILE = {
    "letters": "a",
    "at signs": "@",
    "digits": "1",
    "dashes and digits": "1-",
    "addresses": "a@b.",
    "colons": ":",
    "dots": "1.",
    "token heads": "eyJhbGci.",
    "token heads in words": "-eyJa",
    "key heads": "-----BEGIN PRIVATE KEY-----\n",
    "plus": "+1",
    "countries": "DE89 ",
    "phrases": "blue bird",
    "quotes": "'",
}


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_takes_work_in_proportion_to_its_length(unit):
    """A quadratic scanner would need hours for it: the time limit of tests is the assertion."""
    length = 1 << 17
    text = (unit * (length // len(unit) + 1))[:length]

    assert len(masked(EVERYTHING, text)) > 0


@pytest.mark.parametrize("character", ["a", "@", "1", "é", "-", " "])
def test_a_megabyte_of_one_character_is_looked_through_and_left_alone(character):
    text = character * (1 << 20)

    assert masked(EVERYTHING, text) == text
