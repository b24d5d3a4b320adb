"""What makes two questions the same, and who shares answers."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from routing.metering_values import CHAT, COMPLETIONS, EMBEDDINGS, TYPED, asked

from meshgate.dialects.keeping import keeping
from meshgate.routing import fingerprint as fingerprints
from meshgate.routing.fingerprint import MOST_BODY_BYTES, Fingerprint, partition
from meshgate.routing.principal import Principal
from meshgate.routing.question import DIALECT_NAMES, Question
from meshgate.v1 import gateway_service_pb2

BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
COMPLETE = b'{"model": "m", "prompt": "hi"}'
EMBED = b'{"model": "m", "input": "hi"}'
SAME = b'{"messages":[{"content":"h\\u0069","role":"user"}],"stream":true,"model":"m"}'
QUESTION = asked(BODY)


def fingerprint(question: Question) -> Fingerprint | None:
    kept = keeping(DIALECT_NAMES[question.dialect])
    assert kept is not None
    return fingerprints.fingerprint(question, kept)


def test_equal_questions_have_one_fingerprint_streamed_or_plain():
    assert fingerprint(QUESTION) == fingerprint(asked(SAME, stream=True))


def test_a_fingerprint_is_as_long_as_the_contract_wants_it():
    assert len(fingerprint(QUESTION).digest) == 32


@pytest.mark.parametrize(
    "change",
    [
        {"body": BODY.replace(b"hi", b"ho")},
        {"revision": "r2"},
        {"output_cap": 10},
        {"dialect": EMBEDDINGS},
        {"head": replace(QUESTION.head, model="other")},
        {"arrival": replace(QUESTION.arrival, told_headers=(("anthropic-beta", "b"),))},
    ],
)
def test_what_may_change_the_answer_changes_the_fingerprint(change: dict[str, Any]):
    assert fingerprint(replace(QUESTION, **change)).digest != fingerprint(QUESTION).digest


def test_who_asks_and_when_does_not():
    other = replace(
        QUESTION,
        principal=Principal("bob", False, frozenset({"*"}), False, None),
        arrival=replace(QUESTION.arrival, request_id="other", traceparent="x"),
    )

    assert fingerprint(other) == fingerprint(QUESTION)


@pytest.mark.parametrize("dialect", [CHAT, COMPLETIONS, EMBEDDINGS, TYPED])
def test_every_dialect_has_fingerprints(dialect: Any):
    typed = gateway_service_pb2.ChatRequest(model="m").SerializeToString()
    body = {CHAT: BODY, COMPLETIONS: COMPLETE, EMBEDDINGS: EMBED, TYPED: typed}[dialect]

    assert fingerprint(asked(body, dialect=dialect)) is not None


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(b'"model"', b'"temperature": 0, "temperature": 1, "model"'),
        b'{"model": "m", "x": "%s"}' % (b"x" * MOST_BODY_BYTES),
    ],
)
def test_a_body_that_can_be_read_in_two_ways_or_is_huge_has_none(body: bytes):
    assert fingerprint(asked(body)) is None


names = st.sampled_from(["", "a", "b", 'a","key","b', "organization"])
principals = st.builds(
    lambda principal, organization, team, user, key: Principal(
        principal,
        False,
        frozenset(),
        False,
        None,
        key_id=key,
        user_id=user,
        team_id=team,
        organization_id=organization,
    ),
    st.sampled_from(["p", "q", "a"]),
    names.filter(bool),
    names,
    names,
    names,
)
SCOPES = ["organization", "team", "user", "key"]


@given(principals, principals, st.sampled_from(SCOPES), st.sampled_from(SCOPES))
def test_no_two_organizations_share_a_partition(one, other, scope, other_scope):
    if one.organization_id != other.organization_id:
        assert partition(one, scope) != partition(other, other_scope)


@given(principals, principals, st.sampled_from(SCOPES))
def test_a_partition_is_shared_by_those_who_have_the_same_of_its_scope(one, other, scope):
    member = {"organization": "organization_id", "team": "team_id"}.get(scope, f"{scope}_id")
    whose = [getattr(each, member) or f"only {each.principal_id}" for each in (one, other)]

    shared = partition(one, scope) == partition(other, scope)

    assert shared == (one.organization_id == other.organization_id and whose[0] == whose[1])


def test_no_two_scopes_share_a_partition():
    everything = Principal(
        "x", False, frozenset(), False, None, key_id="x", user_id="x", team_id="x",
        organization_id="x",
    )  # fmt: skip

    found = [partition(everything, scope) for scope in SCOPES]

    assert all(one != other for one, other in itertools.combinations(found, 2))
