"""Every recorded answer, from upstreams of every dialect to callers of every dialect."""

import pytest
from dialects.matrix.answers import judged_answer, judged_stream
from dialects.matrix.corpora import answers, recordings
from dialects.matrix.echoes import SIGNED, judged_echo, sent_back
from dialects.matrix.expectations import expected
from dialects.matrix.judgement import Outcome
from dialects.matrix.pairs import TRANSLATED

from meshgate.dialects.translation import UPSTREAM_DIALECTS

ANSWERS = [
    (caller, upstream, name) for caller, upstream in TRANSLATED for name in answers(upstream)
]
STREAMS = [
    (caller, recording)
    for caller, upstream in TRANSLATED
    for recording in recordings()
    if recording.dialect == upstream and expected(upstream, recording.name)
]

# The others are the gateway's own messages, which carry signatures of all makers.
READABLE = {*UPSTREAM_DIALECTS} - {"meshgate_chat"}
ECHOES = [
    (caller, upstream, name) for caller, upstream in TRANSLATED for name in SIGNED.get(upstream, ())
]


@pytest.mark.parametrize(("caller", "upstream", "name"), ANSWERS)
def test_a_callers_answer_says_what_the_upstreams_did(caller, upstream, name):
    judgement = judged_answer(caller, upstream, name)

    assert judgement.outcome is not Outcome.LOST, judgement.note


@pytest.mark.parametrize(
    ("caller", "recording"), STREAMS, ids=[f"{it[1]} to {it[0]}" for it in STREAMS]
)
def test_a_callers_stream_says_what_the_upstreams_did(caller, recording):
    judgement = judged_stream(caller, recording)

    assert judgement.outcome is not Outcome.LOST, judgement.note


@pytest.mark.parametrize(("caller", "upstream", "name"), ECHOES)
def test_signatures_come_back_to_the_upstream_that_made_them(caller, upstream, name):
    judgement = judged_echo(caller, upstream, name)

    assert judgement.outcome is not Outcome.LOST, judgement.note


@pytest.mark.parametrize(("caller", "maker", "name"), ECHOES)
def test_signatures_are_shown_to_no_other_upstream(caller, maker, name):
    others = [upstream for _, upstream in TRANSLATED if upstream not in (caller, maker)]

    for upstream in sorted({*others} & READABLE):
        sent = sent_back(caller, maker, name, upstream)

        assert SIGNED[maker][name] not in sent
        assert b"mg1." not in sent
