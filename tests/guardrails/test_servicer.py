"""The guardrails service over every kind of channel."""

import grpc
import pytest
from bindings import BINDINGS
from guardrails.samples import JWT, MESHGATE_KEY
from prometheus_client import REGISTRY

from meshgate.config.snapshot import DetectRule, GuardrailPolicy, PhraseRule, Snapshot
from meshgate.guardrails.assembly import SERVICE
from meshgate.guardrails.policies import Policies
from meshgate.guardrails.revisions import Revisions
from meshgate.guardrails.servicer import MAXIMUM_ITEMS, GuardrailsServicer
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.service import Implementation
from meshgate.runtime.status import error_of, error_of_call
from meshgate.v1 import guardrails_service_pb2 as pb
from meshgate.v1.call_context_pb2 import CallContext
from meshgate.v1.guardrails_service_pb2_grpc import GuardrailsServiceStub

MAIL = "a@example.com"
POLICIES = {
    "private": GuardrailPolicy(
        "private",
        input=(DetectRule("mask", "email"),),
        output=(DetectRule("mask", "pii"), PhraseRule("observe", ("hello",))),
    ),
    "secret": GuardrailPolicy(
        "secret",
        input=(DetectRule("block", "secrets"),),
        output=(DetectRule("block", "secrets"),),
    ),
}
# Until calls that stream both ways work without a wire, the others show it.
USABLE = [n for n in BINDINGS if n != "in-process" or hasattr(InProcessChannel, "stream_stream")]


@pytest.fixture(params=USABLE)
async def stub(request):
    policies = Policies()
    snapshot = Snapshot("r1", guardrails=POLICIES)
    policies.follow(snapshot)
    servicer = GuardrailsServicer(Revisions(policies, lambda: snapshot))
    implementation = Implementation(SERVICE, servicer)
    async with BINDINGS[request.param]([implementation]) as channel:
        yield GuardrailsServiceStub(channel)


def context(revision="r1"):
    return CallContext(request_id="r", config_revision=revision)


def item(text, *policies, phase=pb.CHECK_PHASE_INPUT, revision="r1", kind=pb.SEGMENT_KIND_TEXT):
    return pb.CheckItem(
        context=context(revision),
        policies=policies or ["private", "secret"],
        phase=phase,
        segments=[pb.Segment(locator="messages[0]", kind=kind, text=text)],
    )


async def check(stub, *items):
    return (await stub.BatchCheck(pb.BatchCheckRequest(items=items), timeout=20)).results


async def test_each_item_has_its_own_verdict_in_order(stub):
    results = await check(stub, item("hello"), item(f"to {MAIL}"), item(MESHGATE_KEY))

    assert [each.WhichOneof("verdict") for each in results] == ["passed", "masked", "blocked"]
    [segment] = results[1].masked.segments
    assert (segment.locator, segment.text) == ("messages[0]", "to [EMAIL]")
    [finding] = results[1].findings
    assert (finding.policy, finding.rule, finding.detector) == ("private", "email/0", "email")
    assert finding.action == pb.FINDING_ACTION_MASK
    blocking = results[2].blocked.finding
    assert (blocking.policy, blocking.detector) == ("secret", "api-key")
    assert MESHGATE_KEY not in str(results[2])


async def test_the_phase_chooses_the_rules(stub):
    [given, answered] = await check(
        stub,
        item("at 8.8.8.8", "private"),
        item("at 8.8.8.8", "private", phase=pb.CHECK_PHASE_OUTPUT),
    )

    assert given.WhichOneof("verdict") == "passed"
    assert answered.masked.segments[0].text == "at [IP_ADDRESS]"


async def test_json_stays_json(stub):
    [result] = await check(stub, item(f'{{"to": "{MAIL}"}}', kind=pb.SEGMENT_KIND_JSON))

    assert result.masked.segments[0].text == '{"to": "[EMAIL]"}'
    assert result.masked.segments[0].kind == pb.SEGMENT_KIND_JSON


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (item("x", revision="r2"), "ERROR_REASON_REVISION_BEHIND"),
        (item("x", "private", "unknown"), "ERROR_REASON_REVISION_BEHIND"),
        (item("x", phase=pb.CHECK_PHASE_UNSPECIFIED), "ERROR_REASON_INVALID_REQUEST"),
        (item("x", phase=9), "ERROR_REASON_INVALID_REQUEST"),
        (item("x", kind=9), "ERROR_REASON_INVALID_REQUEST"),
    ],
)
async def test_an_item_that_cannot_be_looked_at_does_not_harm_the_others(stub, wrong, reason):
    [refused, good] = await check(stub, wrong, item(MAIL))

    assert error_of(refused.refusal, "guardrails").reason == reason
    assert good.WhichOneof("verdict") == "masked"


async def test_too_many_items_are_refused(stub):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(stub, *[item("x")] * (MAXIMUM_ITEMS + 1))

    assert error_of_call(caught.value, "guardrails").reason == "ERROR_REASON_INVALID_REQUEST"


async def test_a_large_text_is_looked_through_as_well(stub):
    [result] = await check(stub, item("word " * 100_000 + MAIL, "private"))

    assert result.masked.segments[0].text.endswith("word [EMAIL]")


def start(*policies, revision="r1"):
    names = policies or ["private", "secret"]
    return pb.CheckStreamRequest(
        start=pb.CheckStreamStart(context=context(revision), policies=names)
    )


def text(content, channel="c", last=False, kind=pb.SEGMENT_KIND_TEXT):
    return pb.CheckStreamRequest(
        text=pb.CheckStreamText(channel=channel, kind=kind, text=content, last=last)
    )


END = pb.CheckStreamRequest(end=pb.CheckStreamEnd())


async def stream(stub, *requests):
    async def sent():
        for request in requests:
            yield request

    return [response async for response in stub.CheckStream(sent(), timeout=20)]


def released(responses):
    return [
        (each.released.channel, each.released.text)
        for each in responses
        if each.WhichOneof("step") == "released"
    ]


async def test_each_text_of_a_stream_has_one_answer(stub):
    responses = await stream(
        stub, start(), text("hello to a@exa"), text("mple.com"), text(""), text(" now"), END
    )

    assert [each.WhichOneof("step") for each in responses] == ["released"] * 5 + ["ended"]
    assert released(responses) == [
        ("c", "hello to "),
        ("c", ""),
        ("c", ""),
        ("c", "[EMAIL] "),
        ("c", "now"),
    ]
    assert {(f.rule, f.locator, f.count) for f in responses[-1].ended.findings} == {
        ("pii/0", "c", 1),
        ("phrase/1", "c", 1),
    }


async def test_nothing_is_held_back_of_a_channel_that_has_ended(stub):
    responses = await stream(
        stub,
        start(),
        text("x@y.org", last=True),
        text('{"a": "', "d", kind=pb.SEGMENT_KIND_JSON),
        END,
    )

    assert released(responses) == [("c", "[EMAIL]"), ("d", '{"a": "')]
    assert responses[-1].HasField("ended")


async def test_a_stream_ends_with_what_blocks(stub):
    responses = await stream(
        stub, start(), text("the token is "), text(JWT[:20]), text(JWT[20:]), text(" .")
    )

    shown = "".join(content for _, content in released(responses))
    assert "the token is ".startswith(shown)
    assert "eyJ" not in str(responses)
    assert responses[-1].blocked.finding.detector == "jwt"
    assert responses[-1].blocked.finding.action == pb.FINDING_ACTION_BLOCK


async def test_what_was_held_back_can_block_at_the_end(stub):
    responses = await stream(stub, start(), text(JWT), END)

    assert [each.WhichOneof("step") for each in responses] == ["released", "blocked"]


@pytest.mark.parametrize(
    ("requests", "reason"),
    [
        ([text("x")], "ERROR_REASON_INVALID_REQUEST"),
        ([END], "ERROR_REASON_INVALID_REQUEST"),
        ([start(), start()], "ERROR_REASON_INVALID_REQUEST"),
        ([start(), pb.CheckStreamRequest()], "ERROR_REASON_INVALID_REQUEST"),
        ([pb.CheckStreamRequest()], "ERROR_REASON_INVALID_REQUEST"),
        ([start(), text("x")], "ERROR_REASON_INVALID_REQUEST"),
        ([start(), text("x", last=True), text("y")], "ERROR_REASON_INVALID_REQUEST"),
        (
            [start(), text("x"), text("y", kind=pb.SEGMENT_KIND_JSON)],
            "ERROR_REASON_INVALID_REQUEST",
        ),
        ([start(), text("x", kind=9)], "ERROR_REASON_INVALID_REQUEST"),
        ([start(revision="r2")], "ERROR_REASON_REVISION_BEHIND"),
        ([start("unknown")], "ERROR_REASON_REVISION_BEHIND"),
    ],
)
async def test_a_stream_that_breaks_the_rules_is_refused(stub, requests, reason):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream(stub, *requests)

    assert error_of_call(caught.value, "guardrails").reason == reason


def counted(**labels):
    return REGISTRY.get_sample_value("meshgate_guardrail_findings_total", labels) or 0


async def test_findings_are_counted_and_the_time_is_taken(stub):
    labels = {"policy": "private", "rule": "email/0", "detector": "email", "action": "mask"}
    of_streams = {**labels, "rule": "pii/0", "phase": "output"}
    before = counted(**labels, phase="input"), counted(**of_streams)

    await check(stub, item(f"{MAIL} {MAIL}"))
    await stream(stub, start(), text(MAIL), END)

    assert counted(**labels, phase="input") == before[0] + 2
    assert counted(**of_streams) == before[1] + 1
    assert REGISTRY.get_sample_value(
        "meshgate_guardrail_check_duration_seconds_count", {"phase": "input"}
    )
