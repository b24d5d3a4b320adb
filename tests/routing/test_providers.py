"""The caller's side of ProviderService, whatever the service does."""

from typing import Any

import pytest
from routing.fakes import (
    FakeProvider,
    answer,
    broken,
    chunk,
    done,
    head,
    model,
    question,
)

from meshgate.config.snapshot import Target
from meshgate.routing.failure import Failure
from meshgate.routing.peers.provider import PlainAnswer, Providers, StreamedAnswer
from meshgate.routing.planning import Plan
from meshgate.runtime.errors import GatewayError, MeshIdentityError, UpstreamFailedError
from meshgate.v1 import provider_service_pb2 as pb

MODEL = model("m", "a")
PLAN = Plan(MODEL, MODEL.targets)
TARGET: Target = MODEL.targets[0]


@pytest.fixture
def providers(provider: FakeProvider) -> Providers:
    return Providers(provider.channel())


async def begun(providers: Providers) -> StreamedAnswer:
    beginning = await providers.stream(question(), PLAN, TARGET)
    assert isinstance(beginning, StreamedAnswer)
    return beginning


async def test_an_answer_brings_its_headers(providers: Providers, provider: FakeProvider) -> None:
    provider.at("a", answer(b"{}", openai_processing_ms="7"))

    given = await providers.execute(question(), PLAN, TARGET)

    assert given == PlainAnswer(b"{}", (("openai-processing-ms", "7"),))


async def test_a_failure_is_told_in_full(providers: Providers, provider: FakeProvider) -> None:
    fields: dict[str, Any] = {"upstream_status": 429, "code": "slow_down", "field": "model"}
    provider.at("a", [broken("rate_limited", retry_after=1.5, **fields)])

    failed = await providers.stream(question(), PLAN, TARGET)

    assert failed == Failure(
        "rate_limited", "a", 429, 1.5, "it met rate_limited", "slow_down", "model"
    )


async def test_chunks_that_hold_nothing_are_left_out(
    providers: Providers, provider: FakeProvider
) -> None:
    provider.at("a", [head(), *[chunk(b"")] * 2000, chunk(b"one"), chunk(b""), done()])
    beginning = await begun(providers)

    assert [data async for data in beginning.chunks] == [b"one"]


async def test_chunks_that_hold_nothing_are_no_answer(
    providers: Providers, provider: FakeProvider
) -> None:
    provider.at("a", [head(), chunk(b""), done()])
    beginning = await begun(providers)

    with pytest.raises(UpstreamFailedError):
        await anext(beginning.chunks)


async def test_closing_the_chunks_early_cancels_the_call(
    providers: Providers, provider: FakeProvider
) -> None:
    provider.at("a", [head(), chunk(b"one"), chunk(b"two"), done()])
    beginning = await begun(providers)
    await anext(beginning.chunks)

    await beginning.chunks.aclose()

    assert provider.cancelled.is_set()
    assert provider.ended == 0


class TestWrongMeshIdentity:
    """The mesh is set up wrong; the client's credential is a good one, and no retry would help."""

    async def test_of_a_plain_answer_is_an_internal_error(
        self, providers: Providers, provider: FakeProvider
    ) -> None:
        provider.at("a", MeshIdentityError("this call does not carry the token of the mesh"))

        with pytest.raises(GatewayError, match="internal error") as raised:
            await providers.execute(question(), PLAN, TARGET)

        assert type(raised.value) is GatewayError

    async def test_of_a_stream_is_an_internal_error(
        self, providers: Providers, provider: FakeProvider
    ) -> None:
        provider.at("a", [MeshIdentityError("this call does not carry the token of the mesh")])

        with pytest.raises(GatewayError, match="internal error") as raised:
            await providers.stream(question(), PLAN, TARGET)

        assert type(raised.value) is GatewayError


class TestTargets:
    async def test_all_pages_are_read(self) -> None:
        pages = Pages(3)

        targets = await Providers(pages.channel()).list_targets(60.0)

        assert [status.target.model for status in targets] == ["0", "1", "2"]
        assert pages.asked == ["", "1", "2"]

    async def test_a_list_that_never_ends_is_given_up_in_time(self) -> None:
        with pytest.raises(GatewayError):
            await Providers(Pages(10**9).channel()).list_targets(0.05)


class Pages(FakeProvider):
    """Tells its targets one on a page."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.asked: list[str] = []

    async def ListTargets(self, request: Any, context: Any) -> Any:
        self.asked.append(request.page_token)
        number = int(request.page_token or 0)
        status = pb.TargetStatus(target=pb.Target(provider="a", model=str(number)))
        following = str(number + 1) if number + 1 < self.count else ""
        return pb.ListTargetsResponse(targets=[status], next_page_token=following)
