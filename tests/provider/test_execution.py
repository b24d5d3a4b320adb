"""Attempts by the name of their provider, and what is remembered of them."""

from contextlib import aclosing

import pytest
from provider.attempts import attempt, chat, embeddings, streamed_chat
from provider.configuration import KEY, Secrets, http, snapshot
from upstream import Behaviour, Cut, FakeUpstream, Hang, Refuse

from meshgate.config.snapshot import DemoProvider
from meshgate.provider.aiohttp_client import AiohttpClient
from meshgate.provider.attempt import Answer, StreamDone, StreamHead
from meshgate.provider.execution import Execution
from meshgate.provider.failures import Failure, FailureKind
from meshgate.provider.observation import Observer
from meshgate.provider.targets import TargetHealth, Targets
from meshgate.provider.upstreams import Upstreams
from meshgate.runtime.errors import InvalidRequestError, RevisionBehindError, UnsupportedError


@pytest.fixture
async def fake():
    async with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
def targets():
    return Targets()


@pytest.fixture
async def execution(fake, targets):
    upstreams = Upstreams(Secrets(UPSTREAM_KEY="sk-first-key"), AiohttpClient)
    configured = snapshot(http(fake.base_url, api_key=KEY), DemoProvider("demo"))
    upstreams.follow(configured)
    observer = Observer(lambda: configured, upstreams.address)
    yield Execution(upstreams, targets, observer)
    await upstreams.close()


async def stream(execution, wanted, provider="openai"):
    async with aclosing(execution.stream(provider, wanted)) as steps:
        return [step async for step in steps]


def remembered(targets):
    return [(status.health, status.last_failure) for status in targets.page((), None, 10)]


async def test_an_answer_is_remembered(execution, targets):
    outcome = await execution.answer("openai", attempt(chat()))

    assert isinstance(outcome, Answer)
    assert remembered(targets) == [(TargetHealth.HEALTHY, None)]


async def test_a_failure_is_an_outcome_and_remembered(execution, targets, fake):
    fake.default(Behaviour(fault=Refuse(500)))

    outcome = await execution.answer("openai", attempt(chat()))

    assert isinstance(outcome, Failure)
    assert remembered(targets) == [(TargetHealth.FAILING, FailureKind.SERVER_ERROR)]


async def test_a_refused_request_speaks_for_the_target(execution, targets, fake):
    fake.default(Behaviour(fault=Refuse(400)))

    outcome = await execution.answer("openai", attempt(chat()))

    assert outcome.kind is FailureKind.INVALID_REQUEST
    assert remembered(targets) == [(TargetHealth.HEALTHY, None)]


async def test_a_whole_stream_is_remembered(execution, targets):
    steps = await stream(execution, attempt(streamed_chat()))

    assert isinstance(steps[0], StreamHead)
    assert isinstance(steps[-1], StreamDone)
    assert remembered(targets) == [(TargetHealth.HEALTHY, None)]


async def test_a_cut_stream_ends_with_a_failure_that_is_remembered(execution, targets, fake):
    fake.default(Behaviour(fault=Cut(after_events=3)))

    steps = await stream(execution, attempt(streamed_chat()))

    assert isinstance(steps[0], StreamHead)
    assert steps[-1].kind is FailureKind.CONNECTION
    assert not any(isinstance(step, StreamDone) for step in steps)
    assert remembered(targets) == [(TargetHealth.FAILING, FailureKind.CONNECTION)]


async def test_a_stream_that_its_reader_leaves_says_nothing_of_the_target(execution, targets, fake):
    fake.default(Behaviour(fault=Hang(at="event", after_events=2)))

    async with aclosing(execution.stream("openai", attempt(streamed_chat()))) as steps:
        await anext(steps)

    assert remembered(targets) == []
    assert (await fake.ending()).outcome == "client_gone"


@pytest.mark.parametrize("body", [chat(), streamed_chat()], ids=["plain", "streamed"])
async def test_an_unknown_provider_is_a_revision_behind(execution, targets, body):
    with pytest.raises(RevisionBehindError):
        await execution.answer("elsewhere", attempt(body))
    with pytest.raises(RevisionBehindError):
        await stream(execution, attempt(body), "elsewhere")

    assert remembered(targets) == []


async def test_a_request_that_cannot_be_sent_says_nothing_of_the_target(execution, targets):
    with pytest.raises(InvalidRequestError):
        await execution.answer("openai", attempt(b"{"))
    with pytest.raises(UnsupportedError):
        await stream(execution, attempt(embeddings(), "openai_embeddings"))

    assert remembered(targets) == []
