import asyncio

import pytest
from provider.attempts import attempt, chat, failure_of
from provider.configuration import KEY, Secrets, http, snapshot
from structlog.testing import capture_logs
from upstream import Behaviour, FakeUpstream, Gate, Match

from meshgate.config.secrets import SecretReference
from meshgate.config.snapshot import DemoProvider
from meshgate.provider.aiohttp_client import AiohttpClient
from meshgate.provider.failures import FailureKind
from meshgate.provider.upstreams import Upstreams
from meshgate.runtime.errors import RevisionBehindError


@pytest.fixture
def secrets():
    return Secrets(UPSTREAM_KEY="sk-first-key")


@pytest.fixture
async def upstreams(secrets):
    found = Upstreams(secrets, AiohttpClient)
    yield found
    await found.close()


def test_an_unknown_provider_is_a_revision_behind(upstreams):
    with pytest.raises(RevisionBehindError) as caught:
        upstreams.find("elsewhere")

    assert caught.value.values == {"service": "provider", "provider": "elsewhere"}


async def test_secrets_go_where_they_belong(upstreams, secrets):
    secrets.values["TEAM"] = "core"
    async with FakeUpstream() as fake:
        headers = {"x-team": SecretReference("env", "TEAM")}
        upstreams.follow(snapshot(http(fake.base_url, api_key=KEY, headers=headers)))

        await upstreams.find("openai").answer(attempt(chat()))

        assert fake.requests[0].header("authorization") == "Bearer sk-first-key"
        assert fake.requests[0].header("x-team") == "core"
        await upstreams.close()


def test_what_stays_the_same_stays(upstreams):
    upstreams.follow(snapshot(http(api_key=KEY), DemoProvider("demo")))
    before = upstreams.find("openai"), upstreams.find("demo")

    changed = upstreams.follow(snapshot(http(api_key=KEY), DemoProvider("demo"), revision="r2"))

    assert changed == set()
    assert before == (upstreams.find("openai"), upstreams.find("demo"))


def test_what_changes_is_replaced(upstreams):
    upstreams.follow(snapshot(http(api_key=KEY), DemoProvider("demo")))
    before, demo = upstreams.find("openai"), upstreams.find("demo")

    changed = upstreams.follow(snapshot(http("http://b/v1", api_key=KEY), DemoProvider("demo")))

    assert changed == {"openai"}
    assert upstreams.find("openai") is not before
    assert upstreams.find("demo") is demo


def test_a_secret_that_changes_replaces_too(upstreams, secrets):
    upstreams.follow(snapshot(http(api_key=KEY)))

    secrets.values["UPSTREAM_KEY"] = "sk-second-key"

    assert upstreams.follow(snapshot(http(api_key=KEY))) == {"openai"}


def test_what_is_gone_is_unknown(upstreams):
    upstreams.follow(snapshot(http(api_key=KEY)))

    changed = upstreams.follow(snapshot(DemoProvider("demo")))

    assert changed == {"openai", "demo"}
    with pytest.raises(RevisionBehindError):
        upstreams.find("openai")


async def test_what_is_replaced_ends_what_it_began(upstreams):
    async with FakeUpstream() as fake:
        gate = Gate()
        fake.script(Match(), Behaviour(), gate=gate)
        upstreams.follow(snapshot(http(fake.base_url, api_key=KEY)))
        answering = asyncio.create_task(upstreams.find("openai").answer(attempt(chat())))
        await fake.arrival()

        upstreams.follow(snapshot(DemoProvider("demo")))
        await upstreams.close_replaced()
        gate.open()

        assert (await answering).body


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": SecretReference("env", "NOWHERE")},
        {"proxy": "socks9://proxy"},
        {"proxy": SecretReference("env", "NOWHERE")},
        {"headers": {"x-api-key": SecretReference("env", "NOWHERE")}},
    ],
    ids=str,
)
async def test_a_provider_that_cannot_be_set_up_fails_alone(upstreams, options):
    with capture_logs() as logs:
        upstreams.follow(snapshot(http(**options), DemoProvider("demo")))

    failure = await failure_of(upstreams.find("openai"), attempt(chat()))
    assert failure.kind is FailureKind.AUTHENTICATION
    assert await upstreams.find("demo").answer(attempt(chat()))
    assert logs[0]["provider"] == "openai"


@pytest.mark.parametrize("content", [None, "", "no certificate"])
async def test_certificates_that_cannot_be_used_let_nobody_be_trusted(upstreams, tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)

    upstreams.follow(snapshot(http(ca_file=path, api_key=KEY)))

    failure = await failure_of(upstreams.find("openai"), attempt(chat()))
    assert failure.kind is FailureKind.AUTHENTICATION


def test_a_provider_that_is_set_up_later_answers_then(upstreams, secrets):
    del secrets.values["UPSTREAM_KEY"]
    upstreams.follow(snapshot(http(api_key=KEY)))
    before = upstreams.find("openai")

    secrets.values["UPSTREAM_KEY"] = "sk-first-key"
    upstreams.follow(snapshot(http(api_key=KEY)))

    assert upstreams.find("openai") is not before


async def test_secrets_stand_neither_in_logs_nor_in_errors(upstreams, secrets):
    secrets.values["PROXY"] = "nonsense://user:pass-word@proxy"
    proxy = SecretReference("env", "PROXY")

    with capture_logs() as logs:
        upstreams.follow(snapshot(http(api_key=KEY, proxy=proxy)))
    upstreams.follow(snapshot(http(api_key=KEY)))
    failure = await failure_of(upstreams.find("openai"), attempt(chat()))

    told = f"{logs} {failure} {vars(upstreams)}"
    assert "pass-word" not in told
    assert "sk-first-key" not in told
