"""The guardrails service as a process hosts it."""

import asyncio

import pytest
from guardrails.samples import MESHGATE_KEY
from structlog.testing import capture_logs

from meshgate.config.snapshot import DetectRule, GuardrailPolicy, Snapshot
from meshgate.guardrails.assembly import assemble
from meshgate.guardrails.policies import KEPT_REVISIONS, Phase, Policies
from meshgate.runtime.environment import Environment
from meshgate.runtime.errors import RevisionBehindError
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.peers import Peers
from meshgate.v1 import guardrails_service_pb2 as pb
from meshgate.v1.call_context_pb2 import CallContext

IDENTITY = MeshIdentity("the token of the mesh")
FILE = """\
providers: {{demo: {{kind: demo}}}}
guardrails:
  careful: {{input: [{{detect: {detect}, action: block}}]}}
"""


def policies_of(action):
    rule = DetectRule(action, "email")
    return {"p": GuardrailPolicy("p", input=(rule,))}


def test_calls_with_an_older_and_a_newer_revision_get_what_they_mean():
    policies = Policies()
    policies.follow(Snapshot("r1", guardrails=policies_of("mask")))
    policies.follow(Snapshot("r2", guardrails=policies_of("block")))

    actions = [
        policies.ruleset(revision, ["p"], Phase.INPUT).rules[0].action.value
        for revision in ("r1", "r2")
    ]

    assert actions == ["mask", "block"]


def test_old_revisions_are_forgotten():
    policies = Policies()
    for number in range(KEPT_REVISIONS + 1):
        policies.follow(Snapshot(f"r{number}", guardrails=policies_of("mask")))

    with pytest.raises(RevisionBehindError):
        policies.ruleset("r0", ["p"], Phase.INPUT)

    assert policies.ruleset("r1", ["p"], Phase.INPUT).rules


def test_policies_that_did_not_change_are_not_made_anew():
    policies = Policies()
    policies.follow(Snapshot("r1", guardrails=policies_of("mask")))
    policies.follow(Snapshot("r2", guardrails=policies_of("mask")))

    first, second = (policies.ruleset(name, ["p"], Phase.INPUT) for name in ("r1", "r2"))

    assert first is second


def test_no_policies_find_nothing():
    policies = Policies()
    policies.follow(Snapshot("r1"))

    assert policies.ruleset("r1", [], Phase.INPUT).rules == ()


async def test_a_changed_file_is_followed(tmp_path):
    file = tmp_path / "meshgate.yaml"
    file.write_text(FILE.format(detect="email"))
    env = Environment({"MESHGATE_CONFIG": str(file)})

    async with Peers(env, IDENTITY) as peers, assemble(env, peers) as service:
        servicer = service.implementations[0].servicer
        following = [asyncio.create_task(task()) for task in service.tasks.values()]
        with capture_logs() as logs:
            file.write_text(FILE.format(detect="secrets"))
            revision = await followed(logs)
            result = await asked(servicer, revision)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)

    assert service.implementations[0].internal
    assert result.blocked.finding.detector == "api-key"
    assert MESHGATE_KEY not in str(logs)


async def followed(logs):
    """The revision of the second configuration, once it is ready."""
    async with asyncio.timeout(20):
        while True:
            ready = [each for each in logs if each["event"] == "policies are ready"]
            if len(ready) > 1:
                return ready[-1]["revision"]
            await asyncio.sleep(0.01)


async def asked(servicer, revision):
    item = pb.CheckItem(
        context=CallContext(config_revision=revision),
        policies=["careful"],
        phase=pb.CHECK_PHASE_INPUT,
        segments=[pb.Segment(text=MESHGATE_KEY)],
    )
    return (await servicer.BatchCheck(pb.BatchCheckRequest(items=[item]), None)).results[0]
