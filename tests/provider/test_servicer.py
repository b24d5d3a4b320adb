"""ProviderService in every binding: over a real channel to both server stacks, and in-process."""

import asyncio
import json
from contextlib import asynccontextmanager

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from provider.attempts import KEY, chat, embeddings, streamed_chat, typed_chat
from upstream import Behaviour, Cut, Endless, FakeUpstream, Hang, Match, Refuse

from meshgate.dialects.openai_chat import grammar
from meshgate.provider.assembly import assemble
from meshgate.runtime.environment import Environment
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.interception import intercepted
from meshgate.runtime.peers import Peers
from meshgate.runtime.server import running
from meshgate.runtime.settings import ServerSettings
from meshgate.runtime.status import error_of_call
from meshgate.v1 import call_context_pb2, chat_pb2, gateway_service_pb2
from meshgate.v1 import provider_service_pb2 as pb
from meshgate.v1.provider_service_pb2_grpc import ProviderServiceStub

BOUND_SECONDS = 20

TEXT = "The quick brown fox jumps over the lazy dog."


@asynccontextmanager
async def serving(stack, base_url, directory, identity=None, **variables):
    """A channel to the service, and the file of its configuration."""
    path = directory / "meshgate.yaml"
    path.write_text(configuration(base_url))
    variables = {"MESHGATE_CONFIG": str(path), "UPSTREAM_KEY": KEY, **variables}
    identity = identity or MeshIdentity(None)
    settings = ServerSettings("127.0.0.1:0", None, stack, identity, drain_notice_seconds=0)
    async with (
        running({"provider": assemble}, Environment(variables), settings) as service,
        grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel,
    ):
        yield channel, path


def configuration(base_url, more=""):
    return f"""
providers:
  local: {{kind: openai-compatible, base_url: "{base_url}", api_key: "${{env:UPSTREAM_KEY}}"}}
  demo: {{kind: demo}}
{more}
models:
  public-name: {{targets: [{{provider: local, model: m1}}, {{provider: demo, model: m2}}]}}
"""


@pytest.fixture
async def fake():
    async with FakeUpstream(api_key=KEY) as upstream:
        yield upstream


@asynccontextmanager
async def calling(base_url, directory):
    """A channel to the service in this process."""
    path = directory / "meshgate.yaml"
    path.write_text(configuration(base_url))
    env, identity = (
        Environment({"MESHGATE_CONFIG": str(path), "UPSTREAM_KEY": KEY}),
        MeshIdentity(None),
    )
    async with Peers(env, identity) as peers, assemble(env, peers) as service:
        methods = intercepted(service.implementations[0], identity)
        yield InProcessChannel(methods, identity.metadata()), path


@pytest.fixture(params=["native", "grpc", "in-process"])
async def stub(request, fake, tmp_path):
    binding = request.param
    reached = (
        calling(fake.base_url, tmp_path)
        if binding == "in-process"
        else serving(binding, fake.base_url, tmp_path)
    )
    async with reached as (channel, _):
        yield ProviderServiceStub(channel)


def asking(body=None, provider="local", dialect=pb.DIALECT_OPENAI_CHAT, **members):
    return pb.ExecuteRequest(
        target=pb.Target(provider=provider, model="m1"),
        dialect=dialect,
        body=chat() if body is None else body,
        **members,
    )


def streaming(body=None, provider="local", dialect=pb.DIALECT_OPENAI_CHAT, **members):
    return pb.StreamExecuteRequest(
        target=pb.Target(provider=provider, model="m1"),
        dialect=dialect,
        body=streamed_chat() if body is None else body,
        **members,
    )


def seconds(duration):
    return duration.ToNanoseconds() / 1e9


async def collected(call):
    """The kinds of a stream's steps, its chunks joined, and its last step."""
    steps = [step async for step in call]
    body = b"".join(step.chunk for step in steps)
    return [step.WhichOneof("step") for step in steps], body, steps[-1]


async def error_of(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, error_of_call(caught.value, "provider")


async def test_an_output_cap_goes_to_the_upstream_and_may_not_be_negative(stub, fake):
    await stub.Execute(asking(output_cap=7))
    await collected(stub.StreamExecute(streaming(output_cap=8)))
    code, error = await error_of(stub.Execute(asking(output_cap=-1)))

    assert [request.body["max_tokens"] for request in fake.requests] == [7, 8]
    assert (code, error.field) == ("INVALID_ARGUMENT", "output_cap")


async def test_a_plain_answer_says_all_of_itself(stub, fake):
    context = call_context_pb2.CallContext(request_id="req-1")

    response = await stub.Execute(asking(context=context))

    answer = response.answer
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == TEXT
    assert answer.served_model == "m1"
    assert answer.finish_reason == chat_pb2.FINISH_REASON_STOP
    assert answer.usage.output_tokens == 9
    assert 0 < seconds(answer.timings.first_byte) <= seconds(answer.timings.total) < 60
    assert "x-upstream-request-id" in {header.name for header in answer.headers}
    assert fake.requests[0].header("x-request-id") == "req-1"


async def test_a_stream_is_a_head_chunks_and_done(stub):
    kinds, body, last = await collected(stub.StreamExecute(streaming()))

    grammar.check(body)
    assert kinds == ["head", *["chunk"] * (len(kinds) - 2), "done"]
    assert last.done.served_model == "m1"
    assert last.done.finish_reason == chat_pb2.FINISH_REASON_STOP
    assert last.done.usage.output_tokens == 9
    assert 0 < seconds(last.done.timings.first_byte) <= seconds(last.done.timings.total)


async def test_every_dialect_is_served(stub):
    prompt = json.dumps({"model": "public-name", "prompt": "Once"}).encode()
    completed = await stub.Execute(asking(prompt, dialect=pb.DIALECT_OPENAI_COMPLETIONS))
    vectors = await stub.Execute(asking(embeddings(), dialect=pb.DIALECT_OPENAI_EMBEDDINGS))
    typed = await stub.Execute(asking(typed_chat(), dialect=pb.DIALECT_MESHGATE_CHAT))
    kinds, body, _ = await collected(
        stub.StreamExecute(streaming(typed_chat(), dialect=pb.DIALECT_MESHGATE_CHAT))
    )

    assert json.loads(completed.answer.body)["object"] == "text_completion"
    assert json.loads(vectors.answer.body)["object"] == "list"
    response = gateway_service_pb2.ChatResponse.FromString(typed.answer.body)
    assert response.message.parts[0].text == TEXT
    events = chat_pb2.ChatEvents.FromString(body).events
    assert "".join(event.text_delta for event in events) == TEXT
    assert kinds[-1] == "done"


async def test_the_demo_answers_too(stub):
    plain = await stub.Execute(asking(provider="demo"))
    kinds, body, _ = await collected(stub.StreamExecute(streaming(provider="demo")))

    grammar.check(body)
    assert b"demo provider" in plain.answer.body
    assert kinds[0] == "head"
    assert kinds[-1] == "done"


async def test_what_the_upstream_does_wrong_is_a_failure_in_the_answer(stub, fake):
    refuse = Refuse(429, retry_after="1.5", code="insufficient_quota", message="org-1 is out")
    fake.default(Behaviour(fault=refuse))

    failure = (await stub.Execute(asking())).failure

    assert failure.kind == pb.FAILURE_KIND_RATE_LIMITED
    assert failure.upstream_status == 429
    assert seconds(failure.retry_after) == 1.5
    assert failure.code == "insufficient_quota"
    assert "org-1" not in failure.message


async def test_a_failure_without_a_wish_has_no_retry_after(stub, fake):
    fake.default(Behaviour(fault=Refuse(500)))

    assert not (await stub.Execute(asking())).failure.HasField("retry_after")


async def test_a_stream_that_cannot_begin_is_one_failure(stub, fake):
    fake.default(Behaviour(fault=Refuse(503)))

    kinds, _, last = await collected(stub.StreamExecute(streaming()))

    assert kinds == ["failure"]
    assert last.failure.kind == pb.FAILURE_KIND_OVERLOADED


async def test_a_cut_stream_ends_with_a_failure(stub, fake):
    fake.default(Behaviour(fault=Cut(after_events=3)))

    kinds, body, last = await collected(stub.StreamExecute(streaming()))

    assert kinds[0] == "head"
    assert kinds[-1] == "failure"
    assert last.failure.kind == pb.FAILURE_KIND_CONNECTION
    assert b"[DONE]" not in body


@pytest.mark.parametrize("phase", ["first_token", "total"])
async def test_the_phases_of_the_request_are_kept(stub, fake, phase):
    fake.default(Behaviour(fault=Hang(at="head")))
    timeouts = pb.PhaseTimeouts(**{phase: Duration(nanos=50_000_000)})

    plain = await stub.Execute(asking(timeouts=timeouts), timeout=30)
    _, _, last = await collected(stub.StreamExecute(streaming(timeouts=timeouts), timeout=30))

    assert plain.failure.kind == pb.FAILURE_KIND_TIMEOUT
    assert last.failure.kind == pb.FAILURE_KIND_TIMEOUT


async def test_the_time_between_tokens_is_kept_in_streams(stub, fake):
    fake.default(Behaviour(fault=Hang(at="event", after_events=2)))
    timeouts = pb.PhaseTimeouts(between_tokens=Duration(nanos=50_000_000))

    kinds, _, last = await collected(stub.StreamExecute(streaming(timeouts=timeouts), timeout=30))

    assert kinds[0] == "head"
    assert last.failure.kind == pb.FAILURE_KIND_TIMEOUT


async def test_the_deadline_of_the_call_ends_the_upstreams_work(stub, fake):
    fake.default(Behaviour(fault=Hang(at="head")))

    call = stub.Execute(asking(), timeout=0.3)
    try:
        kind = (await call).failure.kind
    except grpc.aio.AioRpcError as error:
        kind = error.code()

    assert kind in {pb.FAILURE_KIND_TIMEOUT, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert (await fake.ending()).outcome == "client_gone"


async def test_cancelling_a_plain_call_reaches_the_upstream(stub, fake):
    fake.default(Behaviour(fault=Hang(at="head")))
    call = stub.Execute(asking())
    waiting = asyncio.create_task(result_of(call))
    await fake.arrival()

    call.cancel()

    async with asyncio.timeout(BOUND_SECONDS):
        assert (await fake.ending()).outcome == "client_gone"
    await asyncio.gather(waiting, return_exceptions=True)


async def result_of(call):
    return await call


async def test_cancelling_a_stream_reaches_the_upstream(stub, fake):
    fake.default(Behaviour(fault=Endless()))
    call = stub.StreamExecute(streaming())
    await anext(aiter(call))

    call.cancel()

    async with asyncio.timeout(BOUND_SECONDS):
        assert (await fake.ending()).outcome == "client_gone"


async def test_an_unknown_provider_is_a_revision_behind(stub):
    code, error = await error_of(stub.Execute(asking(provider="elsewhere")))

    assert code == "FAILED_PRECONDITION"
    assert error.reason == "ERROR_REASON_REVISION_BEHIND"
    assert error.values == {"service": "provider", "provider": "elsewhere"}


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (asking(dialect=pb.DIALECT_UNSPECIFIED), "ERROR_REASON_INVALID_REQUEST"),
        (asking(dialect=99), "ERROR_REASON_INVALID_REQUEST"),
        (asking(b"{"), "ERROR_REASON_INVALID_REQUEST"),
        (asking(b"\xff", dialect=pb.DIALECT_MESHGATE_CHAT), "ERROR_REASON_INVALID_REQUEST"),
        (pb.ExecuteRequest(dialect=1, body=chat()), "ERROR_REASON_INVALID_REQUEST"),
    ],
    ids=["no dialect", "a new dialect", "no JSON", "no message", "no target"],
)
async def test_requests_that_make_no_sense_are_refused(stub, fake, request_, reason):
    code, error = await error_of(stub.Execute(request_))

    assert code == "INVALID_ARGUMENT"
    assert error.reason == reason
    assert not fake.requests


async def test_embeddings_cannot_be_streamed(stub):
    call = stub.StreamExecute(streaming(embeddings(), dialect=pb.DIALECT_OPENAI_EMBEDDINGS))

    code, error = await error_of(collected(call))

    assert code == "INVALID_ARGUMENT"
    assert error.reason == "ERROR_REASON_UNSUPPORTED"


async def test_targets_tell_how_they_fare(stub, fake):
    before = await stub.ListTargets(pb.ListTargetsRequest())
    fake.script(Match(), Behaviour(fault=Refuse(503)), times=1)
    await stub.Execute(asking())
    failing = await stub.ListTargets(pb.ListTargetsRequest())
    await stub.Execute(asking())
    healthy = await stub.ListTargets(pb.ListTargetsRequest())

    assert [(it.target.provider, it.target.model, it.health) for it in before.targets] == [
        ("demo", "m2", pb.TARGET_HEALTH_UNKNOWN),
        ("local", "m1", pb.TARGET_HEALTH_UNKNOWN),
    ]
    assert failing.targets[1].health == pb.TARGET_HEALTH_FAILING
    assert failing.targets[1].last_failure == pb.FAILURE_KIND_OVERLOADED
    assert healthy.targets[1].health == pb.TARGET_HEALTH_HEALTHY


async def test_targets_come_in_pages(stub):
    first = await stub.ListTargets(pb.ListTargetsRequest(page_size=1))
    second = await stub.ListTargets(
        pb.ListTargetsRequest(page_size=1, page_token=first.next_page_token)
    )

    assert [it.target.provider for it in (*first.targets, *second.targets)] == ["demo", "local"]
    assert first.next_page_token
    assert not second.next_page_token


@pytest.mark.parametrize("token", ["x", "!!!!", "AAAA", "é"])
async def test_a_page_token_that_is_none_is_refused(stub, token):
    code, error = await error_of(stub.ListTargets(pb.ListTargetsRequest(page_token=token)))

    assert code == "INVALID_ARGUMENT"
    assert error.field == "page_token"


async def test_strangers_are_refused(fake, tmp_path):
    identity = MeshIdentity("the token of the mesh")

    async with serving("native", fake.base_url, tmp_path, identity) as (channel, _):
        _, error = await error_of(ProviderServiceStub(channel).Execute(asking()))

    assert error.reason == "ERROR_REASON_MESH_IDENTITY_INVALID"


async def test_httpx_can_be_chosen(fake, tmp_path):
    chosen = {"MESHGATE_UPSTREAM_CLIENT": "httpx"}

    async with serving("native", fake.base_url, tmp_path, **chosen) as (channel, _):
        response = await ProviderServiceStub(channel).Execute(asking())

    assert response.answer.served_model == "m1"


async def test_a_changed_configuration_is_followed(fake, tmp_path):
    async with serving("native", fake.base_url, tmp_path) as (channel, path):
        stub = ProviderServiceStub(channel)
        path.write_text(configuration(fake.base_url, "  added: {kind: demo}"))

        async with asyncio.timeout(20):
            while not await answers(stub, "added"):
                await asyncio.sleep(0.05)


async def answers(stub, provider):
    try:
        return (await stub.Execute(asking(provider=provider))).HasField("answer")
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            raise
        return False
