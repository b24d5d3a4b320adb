"""Every feature of a request, from callers of every dialect to upstreams of every dialect."""

import pytest
from dialects.matrix.features import FEATURES
from dialects.matrix.judgement import Outcome, judged, judged_writer
from dialects.matrix.pairs import PAIRS, WRITTEN_BY_CALLERS

from meshgate.dialects.translation import CALLER_DIALECTS, UPSTREAM_DIALECTS

NAMES = [f"{caller} to {upstream}" for caller, upstream in PAIRS]


@pytest.mark.parametrize("upstream", UPSTREAM_DIALECTS)
@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_no_upstreams_writer_loses_anything(upstream, feature):
    judgement = judged_writer(upstream, feature)

    assert judgement.outcome is not Outcome.LOST, judgement.note


@pytest.mark.parametrize(("caller", "upstream"), PAIRS, ids=NAMES)
@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_what_is_asked_for_arrives_or_is_refused(caller, upstream, feature):
    judgement = judged(caller, upstream, feature)

    assert judgement.outcome is not Outcome.LOST, judgement.note


@pytest.mark.parametrize("caller", WRITTEN_BY_CALLERS)
def test_every_caller_can_ask_for_what_all_dialects_have(caller):
    plain = [feature for feature in FEATURES if feature.name in ("text", "several turns", "tools")]

    outcomes = {judged(caller, "openai_chat", feature).outcome for feature in plain}

    assert outcomes <= {Outcome.CARRIED, Outcome.PASSED}


def test_features_have_names_of_their_own():
    names = [feature.name for feature in FEATURES]

    assert len(set(names)) == len(names)


def test_members_are_those_of_known_callers_or_of_some_to_come():
    known = {*CALLER_DIALECTS, "anthropic_messages", "openai_responses", "gemini_generate"}

    assert all(set(feature.members) <= known for feature in FEATURES)
