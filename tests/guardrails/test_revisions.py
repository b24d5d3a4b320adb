"""Callers who know of a new configuration before guardrails do."""

import asyncio

import pytest

from meshgate.config.snapshot import DetectRule, GuardrailPolicy, Snapshot
from meshgate.guardrails.policies import Phase, Policies
from meshgate.guardrails.revisions import Revisions
from meshgate.runtime.errors import RevisionBehindError


class File:
    """A configuration that changes when it is told to, and counts who looks."""

    def __init__(self):
        self.snapshot = snapshot("r1", "mask")
        self.looks = 0

    def look(self):
        self.looks += 1
        return self.snapshot


def snapshot(revision, action):
    rule = DetectRule(action, "email")
    return Snapshot(revision, guardrails={"p": GuardrailPolicy("p", input=(rule,))})


@pytest.fixture
def file():
    return File()


@pytest.fixture
def revisions(file):
    policies = Policies()
    policies.follow(file.snapshot)
    return Revisions(policies, file.look)


async def action(revisions, revision):
    return (await revisions.ruleset(revision, ["p"], Phase.INPUT)).rules[0].action.value


async def test_what_is_known_is_not_looked_for(revisions, file):
    assert await action(revisions, "r1") == "mask"
    assert file.looks == 0


async def test_a_caller_who_is_ahead_is_caught_up_with(revisions, file):
    file.snapshot = snapshot("r2", "block")

    assert await action(revisions, "r2") == "block"
    assert await action(revisions, "r1") == "mask"


async def test_callers_who_are_ahead_together_are_caught_up_with_once(revisions, file):
    file.snapshot = snapshot("r2", "block")

    actions = await asyncio.gather(*(action(revisions, "r2") for _ in range(20)))

    assert set(actions) == {"block"}
    assert file.looks == 1


async def test_a_revision_that_is_nowhere_is_refused(revisions):
    with pytest.raises(RevisionBehindError):
        await action(revisions, "r9")


async def test_a_policy_that_is_in_no_file_is_refused(revisions, file):
    with pytest.raises(RevisionBehindError):
        await revisions.ruleset("r1", ["unheard-of"], Phase.INPUT)

    assert file.looks == 0
