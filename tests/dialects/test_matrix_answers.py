"""Every recorded answer, from upstreams of every dialect to callers of every dialect."""

import pytest
from dialects.matrix.answers import judged_answer, judged_stream
from dialects.matrix.corpora import answers, recordings
from dialects.matrix.expectations import expected
from dialects.matrix.judgement import Outcome
from dialects.matrix.pairs import TRANSLATED

ANSWERS = [
    (caller, upstream, name) for caller, upstream in TRANSLATED for name in answers(upstream)
]
STREAMS = [
    (caller, recording)
    for caller, upstream in TRANSLATED
    for recording in recordings()
    if recording.dialect == upstream and expected(upstream, recording.name)
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
