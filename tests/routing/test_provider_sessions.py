"""Plain attempts in sessions, from routing to instances of provider on both server stacks."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc
import pytest
from routing.fakes import BOUND_SECONDS, model, question, until
from routing.session_provider import Bed, asking

from meshgate.config.snapshot import Target
from meshgate.routing.failure import Failure
from meshgate.routing.peers import sessions as module
from meshgate.routing.peers.provider import PlainAnswer, Providers
from meshgate.routing.peers.sessions import Sessions
from meshgate.routing.planning import Plan
from meshgate.runtime.errors import (
    DeadlineExceededError,
    MeshIdentityError,
    ServiceUnavailableError,
    UnsupportedError,
)
from meshgate.runtime.health import Health
from meshgate.runtime.identity import MeshIdentity

MODEL = model("m", "a")
PLAN = Plan(MODEL, MODEL.targets)
TARGET: Target = MODEL.targets[0]


@pytest.fixture(params=["native", "grpc"])
async def bed(request: Any) -> AsyncIterator[Bed]:
    bed = Bed(request.param)
    yield bed
    await bed.close()


async def ask(bed: Bed, body: bytes = b"hello", model: str = "echo") -> bytes:
    response = await bed.sessions.execute(asking(body, model), BOUND_SECONDS)
    return cast("bytes", response.answer.body)


def asked(bed: Bed, body: bytes = b"hello", model: str = "echo") -> asyncio.Task[bytes]:
    return asyncio.create_task(ask(bed, body, model))


async def test_an_answer_comes_by_the_stream_of_results(bed: Bed) -> None:
    instance = await bed.start()

    assert await ask(bed) == b"hello"
    assert (instance.unary, instance.submits) == (0, [1])


async def test_all_attempts_at_an_instance_share_a_session(bed: Bed) -> None:
    instance = await bed.start()

    for _ in range(3):
        await ask(bed)

    assert instance.watches == 1


async def test_what_gathers_while_a_submit_is_in_flight_goes_out_as_the_next(bed: Bed) -> None:
    instance = await bed.start()
    instance.may_submit.clear()
    first = asked(bed)
    await instance.submitting.wait()
    others = [asked(bed, str(number).encode()) for number in range(9)]
    await until(lambda: bed.channel.pick().in_flight == 10)

    instance.may_submit.set()

    assert await asyncio.gather(first, *others) == [b"hello", *map(b"%d".__mod__, range(9))]
    assert instance.submits == [1, 9]


async def test_a_thousand_at_once_get_each_their_own(bed: Bed) -> None:
    instance = await bed.start()
    bodies = [str(number).encode() for number in range(1000)]

    assert await asyncio.gather(*(ask(bed, body) for body in bodies)) == bodies
    assert len(instance.submits) < 100


async def test_an_answer_passes_those_that_were_asked_before(bed: Bed) -> None:
    instance = await bed.start()
    slow = asked(bed, b"slow", "patient")
    await until(lambda: instance.begun == [b"slow"])

    assert await ask(bed, b"quick") == b"quick"
    assert not slow.done()

    instance.go_on.set()
    assert await slow == b"slow"


async def test_an_answer_of_20_mb_comes_whole_and_beside_others(bed: Bed) -> None:
    await bed.start()
    size = 20_000_000

    large, small = await asyncio.gather(ask(bed, str(size).encode(), "large"), ask(bed))

    assert (len(large), small) == (size, b"hello")


async def test_a_refusal_is_told_as_what_it_is(bed: Bed) -> None:
    instance = await bed.start()
    instance.refusing = UnsupportedError("not there", field="tools")

    with pytest.raises(UnsupportedError, match="not there") as raised:
        await ask(bed)

    assert raised.value.field == "tools"


async def test_whoever_gives_up_cancels_the_work(bed: Bed) -> None:
    instance = await bed.start()
    leaving, staying = asked(bed, b"1", "hang"), asked(bed, b"2", "patient")
    await until(lambda: len(instance.begun) == 2)

    leaving.cancel()

    await until(lambda: instance.cancelled == [b"1"])
    instance.go_on.set()
    assert await staying == b"2"
    assert bed.channel.pick().in_flight == 0


async def test_whoever_gives_up_while_the_submit_is_in_flight_cancels_the_work(bed: Bed) -> None:
    instance = await bed.start()
    instance.may_submit.clear()
    leaving = asked(bed, b"1", "hang")
    await instance.submitting.wait()

    leaving.cancel()
    await asyncio.wait([leaving])
    instance.may_submit.set()

    await until(lambda: instance.cancelled == [b"1"])


async def test_whoever_gives_up_before_the_submit_is_never_sent(bed: Bed) -> None:
    instance = await bed.start()
    instance.may_submit.clear()
    first = asked(bed, b"1")
    await instance.submitting.wait()
    leaving = asked(bed, b"2")
    await until(lambda: bed.channel.pick().in_flight == 2)

    leaving.cancel()
    await asyncio.wait([leaving])
    instance.may_submit.set()

    assert await first == b"1"
    assert await ask(bed, b"3") == b"3"
    assert instance.begun == [b"1", b"3"]


async def test_a_deadline_that_passes_is_told_and_cancels_the_work(bed: Bed) -> None:
    instance = await bed.start()
    await ask(bed)

    with pytest.raises(DeadlineExceededError):
        await bed.sessions.execute(asking(b"1", "hang"), 0.1)

    await until(lambda: instance.cancelled == [b"1"])


async def test_a_deadline_is_known_at_the_other_side(bed: Bed) -> None:
    instance = await bed.start()
    request = asking()
    request.context.timeout.seconds = 30
    request.timeouts.total.seconds = 7

    await bed.sessions.execute(request, BOUND_SECONDS)

    assert 6 < instance.seconds_left <= 7


async def test_a_provider_that_is_killed_fails_what_it_was_doing_and_another_answers(
    bed: Bed,
) -> None:
    mortal, other = await bed.start(), await bed.start()
    calls = [asked(bed, b"%d" % number, "patient") for number in range(4)]
    await until(lambda: len(mortal.begun) == len(other.begun) == 2)

    await mortal.stop()
    other.go_on.set()

    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    failed = [outcome for outcome in outcomes if isinstance(outcome, ServiceUnavailableError)]
    assert (len(failed), len(outcomes)) == (2, 4)
    await until(lambda: bed.channel.serving_count == 1)
    assert await ask(bed) == b"hello"


async def test_a_provider_that_comes_back_gets_a_new_session(bed: Bed) -> None:
    instance = await bed.start()
    await ask(bed)
    await instance.stop()
    await until(lambda: bed.channel.serving_count == 0)

    with pytest.raises((grpc.aio.AioRpcError, ServiceUnavailableError)):
        await ask(bed)
    instance.health = Health()
    instance.health.serve()
    await instance.start()
    await until(lambda: bed.channel.serving_count == 1)

    assert await ask(bed) == b"hello"
    assert instance.watches == 2


async def test_a_stream_that_breaks_cancels_the_work(bed: Bed) -> None:
    instance = await bed.start()
    call = asked(bed, b"1", "hang")
    await until(lambda: instance.begun == [b"1"])

    await bed.sessions.close()

    await until(lambda: instance.cancelled == [b"1"])
    with pytest.raises(ServiceUnavailableError):
        await call


async def test_an_instance_that_drains_ends_its_work_and_its_session(bed: Bed) -> None:
    draining, other = await bed.start(), await bed.start()
    calls = [asked(bed, b"%d" % number, "patient") for number in range(2)]
    await until(lambda: len(draining.begun) == len(other.begun) == 1)

    draining.health.drain()
    await until(lambda: bed.channel.serving_count == 1)
    draining.sessions.drain()
    stopping = asyncio.create_task(draining.stop(BOUND_SECONDS))
    for _ in range(3):
        await ask(bed)
    draining.go_on.set()
    other.go_on.set()

    assert sorted(await asyncio.gather(*calls)) == [b"0", b"1"]
    async with asyncio.timeout(BOUND_SECONDS / 2):
        await stopping
    assert len(draining.begun) == 1


async def test_an_instance_that_is_no_longer_listed_ends_its_work_and_its_session(
    bed: Bed,
) -> None:
    gone, other = await bed.start(), await bed.start()
    calls = [asked(bed, b"%d" % number, "patient") for number in range(2)]
    await until(lambda: len(gone.begun) == len(other.begun) == 1)

    bed.addresses.remove(gone.address)
    await bed.channel.resolve()
    assert await ask(bed) == b"hello"
    gone.go_on.set()
    other.go_on.set()

    assert sorted(await asyncio.gather(*calls)) == [b"0", b"1"]
    await until(lambda: not bed.channel._leaving)


async def test_attempts_beyond_the_bound_wait_for_room(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_IN_FLIGHT", 2)
    instance = await bed.start()
    calls = [asked(bed, b"%d" % number, "patient") for number in range(5)]
    await until(lambda: len(instance.begun) == 2)

    leaving = asked(bed, b"leaving", "patient")
    await until(lambda: bed.channel.pick().in_flight == 6)
    leaving.cancel()
    await asyncio.wait([leaving])
    assert len(instance.begun) == 2
    instance.go_on.set()

    await asyncio.gather(*calls)
    assert instance.begun == [b"0", b"1", b"2", b"3", b"4"]


async def test_an_older_provider_is_asked_without_a_session(bed: Bed) -> None:
    instance = await bed.start(knows_sessions=False)

    assert await asyncio.gather(ask(bed, b"1"), ask(bed, b"2")) == [b"1", b"2"]
    assert await ask(bed) == b"hello"
    assert (instance.unary, instance.submits) == (3, [])


async def test_a_large_request_goes_by_itself(bed: Bed) -> None:
    instance = await bed.start()
    large = b"x" * 100_000

    assert await ask(bed, large) == large
    assert (instance.unary, instance.submits) == (1, [])


async def test_an_attempt_that_is_alone_goes_by_itself_and_more_share_a_session(bed: Bed) -> None:
    instance = await bed.start()
    bed.sessions = Sessions(bed.channel)

    first = asked(bed, b"1", "patient")
    await until(lambda: instance.unary == 1)
    assert await ask(bed, b"2") == b"2"
    instance.go_on.set()

    assert await first == b"1"
    assert (instance.unary, instance.submits) == (1, [1])


async def test_attempts_that_are_alone_take_turns(bed: Bed) -> None:
    instances = [await bed.start() for _ in range(2)]
    bed.sessions = Sessions(bed.channel)

    for _ in range(6):
        await ask(bed)

    assert [instance.unary for instance in instances] == [3, 3]


async def test_without_an_instance_there_is_no_answer_at_once(bed: Bed) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ask(bed)

    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("stack", ["native", "grpc"])
async def test_a_wrong_token_of_the_mesh_is_told(stack: Any) -> None:
    bed = Bed(stack, MeshIdentity("another token"))
    await bed.start()

    with pytest.raises(MeshIdentityError):
        await ask(bed)

    await bed.close()


async def test_sessions_leave_no_task_behind(bed: Bed) -> None:
    before = asyncio.all_tasks()
    await bed.start()
    await ask(bed)

    await bed.close()

    await until(lambda: asyncio.all_tasks() <= before)


class TestProviders:
    """What callers of sessions get, whatever the way the attempt took."""

    async def test_plain_answers_come_by_a_session(self, bed: Bed) -> None:
        instance = await bed.start()
        providers = Providers(bed.channel)

        given = await asyncio.gather(
            *(providers.execute(question(), PLAN, TARGET) for _ in range(3))
        )

        assert given == [PlainAnswer(b"{}", ())] * 3
        assert (instance.unary, sum(instance.submits)) == (1, 2)
        await providers.close()

    async def test_a_session_that_breaks_is_a_broken_connection(self, bed: Bed) -> None:
        instance = await bed.start()
        providers = Providers(bed.channel)
        target = Target("a", "patient")
        attempts = [
            asyncio.create_task(providers.execute(question(), PLAN, target)) for _ in range(2)
        ]
        await until(lambda: len(instance.begun) == 2)

        await instance.stop()

        outcomes = await asyncio.gather(*attempts)
        assert [cast("Failure", outcome).kind for outcome in outcomes] == ["connection"] * 2
        await providers.close()
