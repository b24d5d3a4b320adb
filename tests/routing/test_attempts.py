"""Retries, backoff and fallbacks, before the first byte."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from routing.fakes import Clock, model, question

from meshgate.config.snapshot import Model, Retries, Snapshot
from meshgate.routing.attempts import Answered, Attempts
from meshgate.routing.failure import Failure
from meshgate.routing.planning import Plan, Planner
from meshgate.runtime.errors import (
    DeadlineExceededError,
    GatewayError,
    InvalidRequestError,
    UnsupportedError,
    UpstreamFailedError,
    UpstreamRateLimitedError,
    UpstreamRefusedError,
)

RETRIED = ["rate_limited", "overloaded", "timeout", "connection", "server_error"]


class Upstreams:
    """Answers attempts with what is scripted for the provider, the last thing again and again."""

    def __init__(self, **scripts: list[Any]) -> None:
        self.scripts = scripts
        self.tried: list[str] = []
        self.clock = Clock()
        self.pauses: list[float] = []
        self.draw = 1.0

    async def execute(self, asked: Any, plan: Plan, target: Any) -> Any:
        asked.arrival.deadline.seconds_left()
        self.tried.append(target.provider)
        script = self.scripts[target.provider]
        result = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(result, GatewayError):
            raise result
        if isinstance(result, str):
            return result
        kind, retry_after = result
        return Failure(kind, target.provider, retry_after_seconds=retry_after, message=kind)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock.time += seconds

    async def ask(self, *models: Model, seconds: float = 600.0) -> Answered[Any]:
        known = Snapshot("r1", models={item.name: item for item in models})
        attempts = Attempts(self.sleep, lambda: self.draw, self.clock)
        plans = Planner(known).plans(models[0].name)
        return await attempts.first_good(question(seconds), plans, self.execute)


def fails(kind: str, retry_after: float | None = None) -> tuple[str, float | None]:
    return kind, retry_after


async def test_the_first_target_that_answers_is_told_with_the_count_of_attempts() -> None:
    upstreams = Upstreams(a=[fails("connection")], b=["hello"])

    answered = await upstreams.ask(model("m", "a", "b"))

    assert (answered.answer, answered.target.provider) == ("hello", "b")
    assert (answered.model, answered.attempts) == ("m", 2)


@pytest.mark.parametrize("kind", RETRIED)
async def test_failures_of_a_configured_kind_are_tried_again(kind: str) -> None:
    upstreams = Upstreams(a=[fails(kind), "hello"])

    answered = await upstreams.ask(model("m", "a"))

    assert answered.attempts == 2


@pytest.mark.parametrize("kind", [*RETRIED, "context_window", "unspecified"])
async def test_failures_of_other_kinds_are_not_tried_again(kind: str) -> None:
    upstreams = Upstreams(a=[fails(kind), "hello"], b=["hello"])

    with pytest.raises(GatewayError, match=kind):
        await upstreams.ask(model("m", "a", "b", retries=Retries(on=frozenset())))

    assert upstreams.tried == ["a"]


@pytest.mark.parametrize("kind", ["invalid_request", "content_policy", "cancelled"])
async def test_what_is_wrong_with_the_request_is_told_at_once(kind: str) -> None:
    upstreams = Upstreams(a=[fails(kind)], b=["hello"])
    every = Retries(attempts=5, on=frozenset({"invalid_request", "content_policy"}))

    with pytest.raises(GatewayError, match=kind):
        await upstreams.ask(
            model("m", "a", "b", retries=every, fallbacks=("n",)), model("n", "b", retries=every)
        )

    assert upstreams.tried == ["a"]


@pytest.mark.parametrize("kind", ["authentication", "not_found"])
async def test_a_target_that_cannot_help_is_left_for_another_without_a_pause(kind: str) -> None:
    upstreams = Upstreams(a=[fails(kind)], b=[fails("connection")], c=[fails("connection")])

    with pytest.raises(UpstreamFailedError):
        await upstreams.ask(model("m", "a", "b", "c", retries=Retries(attempts=6)))

    assert upstreams.tried == ["a", "b", "c", "b", "c", "b"]
    assert len(upstreams.pauses) == 3


async def test_a_target_that_cannot_help_is_not_tried_again_under_another_weight() -> None:
    twice = model("m", "a", "a", "b", retries=Retries(attempts=6))
    upstreams = Upstreams(a=[fails("authentication")], b=["hello"])

    await upstreams.ask(twice)

    assert upstreams.tried == ["a", "b"]


async def test_nobody_waits_where_no_target_is_left() -> None:
    upstreams = Upstreams(a=[fails("authentication")], b=["hello"])

    answered = await upstreams.ask(
        model("m", "a", retries=Retries(), fallbacks=("n",)), model("n", "b")
    )

    assert answered.model == "n"
    assert upstreams.pauses == []


async def test_a_request_that_one_target_cannot_express_goes_to_another() -> None:
    upstreams = Upstreams(b=["hello"])

    async def execute(asked: Any, plan: Plan, target: Any) -> Any:
        if target.provider == "a":
            error = UnsupportedError("no audio", field="messages[0]")
            return Failure("unsupported", "a", error=error)
        return await upstreams.execute(asked, plan, target)

    plans = Planner(Snapshot("r1", models={"m": model("m", "a", "b")})).plans("m")
    answered = await Attempts().first_good(question(), plans, execute)

    assert answered.target.provider == "b"


async def test_there_are_no_more_attempts_than_configured() -> None:
    upstreams = Upstreams(a=[fails("connection")], b=[fails("connection")])

    with pytest.raises(UpstreamFailedError) as raised:
        await upstreams.ask(model("m", "a", "b", retries=Retries(attempts=3)))

    assert upstreams.tried == ["a", "b", "a"]
    assert raised.value.values["attempts"] == "3"


async def test_the_error_that_is_told_is_that_of_the_last_attempt() -> None:
    upstreams = Upstreams(a=[fails("connection")], b=[fails("rate_limited")])

    with pytest.raises(UpstreamRateLimitedError) as raised:
        await upstreams.ask(model("m", "a", "b", retries=Retries(attempts=2)))

    assert raised.value.values["provider"] == "b"


async def test_fallbacks_have_attempts_of_their_own_and_all_are_counted() -> None:
    upstreams = Upstreams(a=[fails("connection")], b=[fails("connection"), "hello"])

    answered = await upstreams.ask(
        model("m", "a", retries=Retries(attempts=2), fallbacks=("n",)),
        model("n", "b", retries=Retries(attempts=2)),
    )

    assert upstreams.tried == ["a", "a", "b", "b"]
    assert (answered.model, answered.attempts) == ("n", 4)


async def test_what_is_too_long_for_a_model_goes_to_its_fallback() -> None:
    upstreams = Upstreams(a=[fails("context_window")], b=["hello"])

    answered = await upstreams.ask(model("m", "a", fallbacks=("n",)), model("n", "b"))

    assert answered.model == "n"
    assert upstreams.tried == ["a", "b"]


async def test_an_error_that_no_attempt_would_change_is_told_at_once() -> None:
    upstreams = Upstreams(a=[InvalidRequestError("no")], b=["hello"])

    with pytest.raises(InvalidRequestError):
        await upstreams.ask(model("m", "a", "b"))


class TestPauses:
    async def test_the_bound_doubles_up_to_the_longest(self) -> None:
        upstreams = Upstreams(a=[fails("connection")])
        retries = Retries(attempts=6, backoff_initial_seconds=0.1, backoff_max_seconds=0.5)

        with pytest.raises(UpstreamFailedError):
            await upstreams.ask(model("m", "a", retries=retries))

        assert upstreams.pauses == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.5])

    @pytest.mark.parametrize("draw", [0.0, 0.25, 0.5])
    async def test_jitter_is_full(self, draw: float) -> None:
        upstreams = Upstreams(a=[fails("connection"), "hello"])
        upstreams.draw = draw

        await upstreams.ask(model("m", "a", retries=Retries(backoff_initial_seconds=1.0)))

        assert upstreams.pauses == ([draw] if draw else [])

    async def test_the_bound_doubles_with_each_round_over_the_targets(self) -> None:
        upstreams = Upstreams(a=[fails("connection")], b=[fails("connection")])
        retries = Retries(attempts=6, backoff_initial_seconds=0.1)

        with pytest.raises(UpstreamFailedError):
            await upstreams.ask(model("m", "a", "b", retries=retries))

        assert upstreams.pauses == pytest.approx([0.1, 0.1, 0.2, 0.2])

    async def test_what_an_upstream_asks_for_is_kept(self) -> None:
        upstreams = Upstreams(a=[fails("rate_limited", 1.5), "hello"])

        await upstreams.ask(model("m", "a", retries=Retries()))

        assert upstreams.pauses == [1.5]

    async def test_what_an_upstream_asks_for_is_kept_after_others_were_tried(self) -> None:
        upstreams = Upstreams(a=[fails("rate_limited", 1.5), "hello"], b=[fails("connection")])
        retries = Retries(attempts=3, backoff_initial_seconds=0.1)

        await upstreams.ask(model("m", "a", "b", retries=retries))

        assert upstreams.tried == ["a", "b", "a"]
        assert upstreams.pauses == [1.5]

    async def test_time_that_others_took_counts(self) -> None:
        upstreams = Upstreams(a=[fails("rate_limited", 1.5), "hello"], b=[fails("connection")])

        async def execute(asked: Any, plan: Plan, target: Any) -> Any:
            upstreams.clock.time += 1.0
            return await upstreams.execute(asked, plan, target)

        retries = Retries(attempts=3, backoff_initial_seconds=0.1)
        plans = [Plan(model("m", retries=retries), model("m", "a", "b").targets)]
        attempts = Attempts(upstreams.sleep, lambda: 1.0, upstreams.clock)
        await attempts.first_good(question(), plans, execute)

        assert upstreams.pauses == pytest.approx([0.5])

    async def test_an_upstream_that_asks_for_too_long_is_left_for_the_others(self) -> None:
        upstreams = Upstreams(a=[fails("rate_limited", 60.0)], b=[fails("connection"), "hello"])

        answered = await upstreams.ask(model("m", "a", "b", retries=Retries(attempts=4)))

        assert upstreams.tried == ["a", "b", "b"]
        assert answered.attempts == 3
        assert max(upstreams.pauses) < 1

    async def test_one_that_asks_for_too_long_does_not_end_the_tries_of_others(self) -> None:
        upstreams = Upstreams(a=[fails("connection"), "hello"], b=[fails("rate_limited", 60.0)])

        answered = await upstreams.ask(model("m", "a", "b", retries=Retries(attempts=4)))

        assert upstreams.tried == ["a", "b", "a"]
        assert answered.answer == "hello"

    async def test_one_that_asks_for_too_long_goes_on_to_the_fallback_at_once(self) -> None:
        upstreams = Upstreams(a=[fails("rate_limited", 60.0)], b=["hello"])

        answered = await upstreams.ask(model("m", "a", fallbacks=("n",)), model("n", "b"))

        assert answered.model == "n"
        assert upstreams.pauses == []

    async def test_one_that_asks_for_too_long_and_is_alone_is_told_at_once(self) -> None:
        upstreams = Upstreams(a=[fails("rate_limited", 60.0)])

        with pytest.raises(UpstreamRateLimitedError) as raised:
            await upstreams.ask(model("m", "a"))

        assert raised.value.retry_after_seconds == 60.0
        assert upstreams.tried == ["a"]
        assert upstreams.pauses == []

    async def test_nobody_waits_after_the_last_attempt(self) -> None:
        upstreams = Upstreams(a=[fails("rate_limited", 1.0)])

        with pytest.raises(UpstreamRateLimitedError):
            await upstreams.ask(model("m", "a", retries=Retries(attempts=1)))

        assert upstreams.pauses == []

    async def test_a_pause_past_the_deadline_is_not_begun(self) -> None:
        upstreams = Upstreams(a=[fails("rate_limited", 1.5)])

        with pytest.raises(UpstreamRateLimitedError):
            await upstreams.ask(model("m", "a", retries=Retries()), seconds=1.0)

        assert upstreams.pauses == []

    async def test_where_there_is_no_time_for_a_pause_a_fallback_is_asked(self) -> None:
        upstreams = Upstreams(a=[fails("rate_limited", 1.5)], b=["hello"])

        answered = await upstreams.ask(
            model("m", "a", retries=Retries(), fallbacks=("n",)), model("n", "b"), seconds=1.0
        )

        assert answered.model == "n"

    async def test_cancelling_during_a_pause_ends_it(self) -> None:
        upstreams = Upstreams(a=[fails("connection")])
        pausing = asyncio.Event()

        async def sleep(_seconds: float) -> None:
            pausing.set()
            await asyncio.Event().wait()

        plans = Planner(Snapshot("r1", models={"m": model("m", "a", retries=Retries())})).plans("m")
        attempts = Attempts(sleep, lambda: 1.0)
        asking = asyncio.create_task(attempts.first_good(question(), plans, upstreams.execute))
        await pausing.wait()
        asking.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asking
        assert upstreams.tried == ["a"]


@pytest.mark.parametrize("seconds", [0.0, 0.001])
async def test_no_attempt_begins_after_the_deadline_nor_in_the_last_moment_before(
    seconds: float,
) -> None:
    upstreams = Upstreams(a=["hello"])

    with pytest.raises(DeadlineExceededError):
        await upstreams.ask(model("m", "a"), seconds=seconds)

    assert upstreams.tried == []


class RunningOut:
    """A deadline by which there is time for one attempt, as long as provider tries."""

    def __init__(self) -> None:
        self.left = [600.0, 600.0, 0.02]

    def seconds_left(self, _at_most: float = 600.0) -> float:
        return self.left.pop(0)


async def test_what_an_attempt_leaves_that_ran_out_of_time_is_no_time_for_another() -> None:
    upstreams = Upstreams(a=[fails("timeout")], b=["hello"])
    known = Snapshot("r1", models={"m": model("m", "a", "b")})
    asked = question()
    asked = replace(asked, arrival=replace(asked.arrival, deadline=RunningOut()))

    with pytest.raises(DeadlineExceededError):
        await Attempts().first_good(asked, Planner(known).plans("m"), upstreams.execute)

    assert upstreams.tried == ["a"]


async def test_a_refusal_of_a_fallback_is_told_of_the_fallback() -> None:
    upstreams = Upstreams(a=[fails("connection")], b=[fails("content_policy")])

    with pytest.raises(UpstreamRefusedError) as raised:
        await upstreams.ask(
            model("m", "a", retries=Retries(attempts=1), fallbacks=("n",)), model("n", "b")
        )

    assert raised.value.values["model"] == "n"
    assert raised.value.values["attempts"] == "2"
