"""However an answer is cut, what is shown of it is the same."""

import json

from guardrails.policies import EVERYTHING, masked, ruleset
from guardrails.samples import EVERY_NEAR_MISS, EVERY_POSITIVE, JWT, PEM
from hypothesis import given
from hypothesis import strategies as st

from meshgate.config.snapshot import DetectRule, PatternRule, PhraseRule
from meshgate.guardrails.checking import AnswerCheck, TextKind
from meshgate.guardrails.findings import Action

FRAGMENTS = st.one_of(
    st.sampled_from(EVERY_POSITIVE),
    st.sampled_from(EVERY_NEAR_MISS),
    st.sampled_from(
        ["blue bird", "BLUE BIRD cage", "ärger", "鳥", "T-123456789012345", "'quoted'"]
    ),
    st.sampled_from([" ", "\n", ", ", "-", ".", "x", "1", "@", "+", "é", "鳥", "😀", "'", "/"]),
    st.text(max_size=6),
)
# What is cut off in its middle, and what stands side by side without anything between.
TEXTS = st.lists(
    st.one_of(FRAGMENTS, FRAGMENTS.flatmap(lambda s: st.integers(0, len(s)).map(lambda n: s[:n]))),
    max_size=8,
).map("".join)
CUTS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def parts(text, sizes):
    """The text in parts of these sizes, over and over."""
    at, turn = 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        yield text[at : at + size]
        at, turn = at + size, turn + 1


def streamed(rules, text, sizes, kind=TextKind.WORDS):
    answer = AnswerCheck(rules)
    shown = [answer.text("c", kind, part, last=False) for part in parts(text, sizes)]
    return "".join([*shown, *(rest for _, rest in answer.end())]), answer


@given(TEXTS, CUTS)
def test_what_is_shown_of_a_stream_is_the_masked_whole(text, sizes):
    shown, _ = streamed(EVERYTHING, text, sizes)

    assert shown == masked(EVERYTHING, text)


@given(TEXTS)
def test_what_is_shown_letter_by_letter_is_the_masked_whole(text):
    shown, answer = streamed(EVERYTHING, text, [1])
    at_once, whole = streamed(EVERYTHING, text, [max(len(text), 1)])

    assert shown == at_once == masked(EVERYTHING, text)
    assert set(answer.findings()) == set(whole.findings())


VALUES = st.recursive(
    st.one_of(
        TEXTS,
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.none(),
        st.just(4111111111111111),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=8,
)


@given(VALUES, CUTS, st.booleans(), st.sampled_from([None, 2]))
def test_a_json_stream_stays_json_and_its_names_stay_what_they_are(
    value, sizes, ascii_only, indent
):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)

    shown, _ = streamed(EVERYTHING, text, sizes, TextKind.JSON)

    assert shown == masked(EVERYTHING, text, TextKind.JSON)
    assert json.loads(shown) == masked_value(value)


def masked_value(value):
    if isinstance(value, str):
        return masked(EVERYTHING, value)
    if isinstance(value, list):
        return [masked_value(item) for item in value]
    if isinstance(value, dict):
        return {name: masked_value(item) for name, item in value.items()}
    if value is None or isinstance(value, bool):
        return value
    written = json.dumps(value)
    return value if masked(EVERYTHING, written) == written else masked(EVERYTHING, written)


@given(
    st.lists(
        st.one_of(
            st.sampled_from([*'{}[]",:\\ 0-tn', "\\u00", "\\ud83d", "e9", "true"]), FRAGMENTS
        ),
        max_size=12,
    ).map("".join),
    CUTS,
)
def test_what_is_no_json_is_shown_the_same_however_it_is_cut(text, sizes):
    shown, _ = streamed(EVERYTHING, text, sizes, TextKind.JSON)

    assert shown == masked(EVERYTHING, text, TextKind.JSON)


@given(st.lists(st.tuples(st.sampled_from("abc"), TEXTS), max_size=8), CUTS)
def test_channels_that_are_mixed_do_not_touch_each_other(turns, sizes):
    answer = AnswerCheck(EVERYTHING)
    whole = dict.fromkeys("abc", "")
    shown = dict.fromkeys("abc", "")
    for channel, text in turns:
        whole[channel] += text
        for part in parts(text, sizes):
            shown[channel] += answer.text(channel, TextKind.WORDS, part, last=False)
    for channel, rest in answer.end():
        shown[channel] += rest

    assert shown == {channel: masked(EVERYTHING, text) for channel, text in whole.items()}


def with_phrases(action):
    return ruleset(
        DetectRule("mask", "email"),
        PhraseRule(action, ("blue bird",)),
        PatternRule(action, "ticket", r"T-\d{3}", 5),
    )


MASKING, BLOCKING = with_phrases("mask"), with_phrases("block")


@given(TEXTS, st.sampled_from(["blue bird", "T-123"]), TEXTS, CUTS)
def test_nothing_is_shown_from_a_finding_on_that_blocks(before, finding, after, sizes):
    text = f"{before} {finding} {after}"

    shown, answer = streamed(BLOCKING, text, sizes)

    assert answer.block is not None
    before_it = masked(MASKING, text).split("[PHRASE]")[0].split("[TICKET]")[0]
    assert before_it.startswith(shown)


@given(TEXTS, CUTS)
def test_no_more_is_held_back_than_the_longest_finding(text, sizes):
    answer = AnswerCheck(EVERYTHING)
    channel_text = ""
    for part in parts(text, sizes):
        channel_text += part
        answer.text("c", TextKind.WORDS, part, last=False)

        held = answer._channels["c"][1]._held
        assert len(held) <= EVERYTHING.reach


def test_words_that_can_begin_nothing_are_shown_at_once():
    answer = AnswerCheck(ruleset(DetectRule("mask", "secrets"), PhraseRule("mask", ("blue bird",))))

    shown = [
        answer.text("c", TextKind.WORDS, word, last=False) for word in ("Hello", " dear", " b")
    ]

    assert shown == ["Hello", " dear", " "]


def test_a_finding_is_held_back_until_it_is_whole():
    answer = AnswerCheck(EVERYTHING)

    shown = [
        answer.text("c", TextKind.WORDS, part, last=False)
        for part in ("write to john", "@exam", "ple.com", " today")
    ]

    assert shown == ["write to ", "", "", "[EMAIL] "]


def test_the_last_text_of_a_channel_holds_nothing_back():
    answer = AnswerCheck(EVERYTHING)

    shown = answer.text("c", TextKind.WORDS, "write to john@example.com", last=True)

    assert shown == "write to [EMAIL]"
    assert list(answer.end()) == []


def test_a_token_of_many_parts_is_one_finding():
    text = f"{JWT}\n{PEM}"

    shown, answer = streamed(EVERYTHING, text, [7])

    assert shown == "[SECRET]\n[SECRET]"
    assert [(each.detector, each.count) for each in answer.findings()] == [
        ("jwt", 1),
        ("private-key", 1),
    ]
    assert {each.action for each in answer.findings()} == {Action.MASK}
