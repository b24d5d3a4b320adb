"""Calls of quota: nothing that goes wrong with one is lost, or taken for an answer."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from meshgate.routing.peers.quota.calls import MOST_RELEASES, QuotaCalls
from meshgate.runtime.errors import (
    GatewayError,
    HoldUnknownError,
    LimitExceededError,
    ServiceUnavailableError,
)
from meshgate.runtime.status import status_of
from meshgate.v1 import quota_service_pb2 as pb

ITEM = pb.HoldItem(grant_id="g1", partition="acme")


class Channel:
    """Answers each RPC as it is told to; the last answer again and again."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.answers: list[Any] = []

    def unary_unary(self, _path: str, **_codecs: Any) -> Callable[..., Any]:
        async def call(request: Any, **_options: Any) -> Any:
            self.requests.append(request)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return call


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def calls(channel: Channel) -> QuotaCalls:
    return QuotaCalls(channel)


def held(*results: Any) -> Any:
    return pb.BatchHoldResponse(results=results)


def refused(error: GatewayError) -> Any:
    return pb.GrantResult(refusal=status_of(error))


async def released(calls: QuotaCalls, channel: Channel) -> list[str]:
    """What is given back with the next call."""
    channel.answers = [pb.BatchReleaseResponse()]
    before = len(channel.requests)
    await calls.send_releases()
    return [item.grant_id for request in channel.requests[before:] for item in request.items]


class TestHolding:
    async def test_what_is_granted_is_kept(self, calls: QuotaCalls, channel: Channel) -> None:
        channel.answers = [held(pb.GrantResult(grant={}))]

        assert await calls.hold(ITEM) == pb.Grant()
        assert await released(calls, channel) == []

    async def test_what_a_limit_refuses_is_not_there_to_be_given_back(
        self, calls: QuotaCalls, channel: Channel
    ) -> None:
        channel.answers = [held(refused(LimitExceededError("no", limit="requests/minute")))]

        with pytest.raises(LimitExceededError):
            await calls.hold(ITEM)
        assert await released(calls, channel) == []

    @pytest.mark.parametrize(
        "answer",
        [ValueError("odd"), asyncio.CancelledError(), held(), held(pb.GrantResult())],
        ids=["an unexpected failure", "a closed channel", "too few results", "an empty result"],
    )
    async def test_whatever_else_comes_is_no_grant_and_is_given_back(
        self, calls: QuotaCalls, channel: Channel, answer: Any
    ) -> None:
        channel.answers = [answer]

        with pytest.raises(GatewayError):
            await calls.hold(ITEM)
        assert await released(calls, channel) == ["g1"]

    async def test_an_unknown_hold_is_told_apart(self, calls: QuotaCalls, channel: Channel) -> None:
        unknown = refused(HoldUnknownError("no such grant"))
        channel.answers = [pb.BatchExtendResponse(results=[unknown])]

        with pytest.raises(HoldUnknownError):
            await calls.extend(pb.ExtendItem(grant_id="g1"))


class TestGivingBack:
    async def test_what_could_not_be_given_back_is_tried_again(
        self, calls: QuotaCalls, channel: Channel
    ) -> None:
        calls.release(pb.ReleaseItem(grant_id="g1"))
        channel.answers = [asyncio.CancelledError()]
        await calls.send_releases()

        assert await released(calls, channel) == ["g1"]

    async def test_it_is_said_once_that_they_wait_and_once_that_they_do_not(
        self, calls: QuotaCalls, channel: Channel
    ) -> None:
        calls.release(pb.ReleaseItem(grant_id="g1"))
        channel.answers = [ServiceUnavailableError("away")]

        with capture_logs() as logs:
            for _ in range(3):
                await calls.send_releases()
            await released(calls, channel)

        assert [line["event"] for line in logs] == [
            "grants wait to be given back",
            "grants are given back again",
        ]

    async def test_one_call_gives_back_at_most_500(
        self, calls: QuotaCalls, channel: Channel
    ) -> None:
        for number in range(1_100):
            calls.release(pb.ReleaseItem(grant_id=str(number)))

        assert len(await released(calls, channel)) == 1_100
        assert [len(request.items) for request in channel.requests] == [500, 500, 100]

    async def test_only_so_many_wait_to_be_given_back(
        self, calls: QuotaCalls, channel: Channel
    ) -> None:
        item = pb.ReleaseItem(grant_id="g1")
        for _ in range(MOST_RELEASES + 5):
            calls.release(item)

        assert len(await released(calls, channel)) == MOST_RELEASES


class TestSettling:
    async def test_a_call_that_is_cut_off_is_no_acknowledgement(
        self, calls: QuotaCalls, channel: Channel
    ) -> None:
        channel.answers = [asyncio.CancelledError()]

        with pytest.raises(ServiceUnavailableError):
            await calls.settle([])

    async def test_whoever_is_told_to_stop_stops(self, calls: QuotaCalls, channel: Channel) -> None:
        async def settle() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            channel.answers = [asyncio.CancelledError()]
            await calls.settle([])

        settling = asyncio.create_task(settle())
        await asyncio.wait([settling])

        assert settling.cancelled()
