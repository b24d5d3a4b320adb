"""What holds of attempts, whatever upstreams do and however models are configured."""

import asyncio
import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from routing.fakes import Clock, question

from meshgate.config.snapshot import Model, Retries, Snapshot, Target
from meshgate.routing.attempts import Attempts
from meshgate.routing.failure import OF_THE_REQUEST, OF_THE_TARGET, Failure
from meshgate.routing.planning import Plan, Planner
from meshgate.runtime.errors import GatewayError

RETRIED = ("rate_limited", "overloaded", "timeout", "connection", "server_error")
KINDS = (*RETRIED, *sorted(OF_THE_TARGET), *sorted(OF_THE_REQUEST), "context_window", "unspecified")

targets = st.builds(Target, st.sampled_from("abc"), st.sampled_from("xy"))
retries = st.builds(
    Retries,
    attempts=st.integers(1, 6),
    on=st.frozensets(st.sampled_from(RETRIED)),
    backoff_initial_seconds=st.sampled_from([0.0, 0.1, 1.0]),
    backoff_max_seconds=st.sampled_from([1.0, 2.0]),
)


@st.composite
def configurations(draw: st.DrawFn) -> Snapshot:
    models = {}
    for name in draw(st.lists(st.sampled_from("mnop"), min_size=1, unique=True)):
        several = tuple(draw(st.lists(targets, min_size=1, max_size=4)))
        models[name] = Model(name, several, "priority", draw(retries))
    fallbacks = st.lists(st.sampled_from(sorted(models)), max_size=3)
    return Snapshot(
        "r1",
        models={
            name: Model(name, model.targets, "priority", model.retries, tuple(draw(fallbacks)))
            for name, model in models.items()
        },
    )


class Upstreams:
    """Fails as chance has it, and now and then answers; remembers everything."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.clock = Clock()
        self.tries: list[tuple[Model, Target, Failure | None]] = []
        self.pauses: list[tuple[Model, float]] = []

    async def execute(self, _asked: Any, plan: Plan, target: Target) -> Any:
        self.clock.time += self.chance.random()
        failure = None
        if self.chance.random() > 0.1:
            asked = self.chance.choice([None, None, 0.0, 0.5, 1.5, 60.0])
            kind = self.chance.choice(KINDS)
            failure = Failure(kind, target.provider, retry_after_seconds=asked, message=kind)
        self.tries.append((plan.model, target, failure))
        return failure or "hello"

    async def sleep(self, seconds: float) -> None:
        self.pauses.append((self.tries[-1][0], seconds))
        self.clock.time += seconds


def asked(snapshot: Snapshot, chance: random.Random) -> tuple[Upstreams, Any]:
    """What was tried, and what came of it: an answer or an error."""
    upstreams = Upstreams(chance)
    attempts = Attempts(upstreams.sleep, chance.random, upstreams.clock)
    plans = Planner(snapshot).plans(next(iter(snapshot.models)))
    try:
        return upstreams, asyncio.run(attempts.first_good(question(), plans, upstreams.execute))
    except GatewayError as error:
        return upstreams, error


@given(configurations(), st.randoms(use_true_random=False))
def test_the_outcome_is_that_of_the_last_attempt_and_tells_how_many_there_were(
    snapshot: Snapshot, chance: random.Random
) -> None:
    upstreams, outcome = asked(snapshot, chance)

    model, target, failure = upstreams.tries[-1]
    if isinstance(outcome, GatewayError):
        assert failure is not None
        assert outcome.values["kind"] == failure.kind
        assert outcome.values["model"] == model.name
        assert outcome.values["attempts"] == str(len(upstreams.tries))
    else:
        assert failure is None
        assert (outcome.model, outcome.target) == (model.name, target)
        assert outcome.attempts == len(upstreams.tries)


@given(configurations(), st.randoms(use_true_random=False))
def test_no_model_has_more_attempts_than_it_is_given_and_none_comes_twice(
    snapshot: Snapshot, chance: random.Random
) -> None:
    upstreams, _ = asked(snapshot, chance)

    turns = [model.name for model, *_ in upstreams.tries]
    for name in set(turns):
        assert turns.count(name) <= snapshot.models[name].retries.attempts
        first, last = turns.index(name), len(turns) - turns[::-1].index(name)
        assert set(turns[first:last]) == {name}


@given(configurations(), st.randoms(use_true_random=False))
def test_nobody_is_asked_again_whom_it_would_not_help_to_ask(
    snapshot: Snapshot, chance: random.Random
) -> None:
    upstreams, _ = asked(snapshot, chance)

    for at, (model, target, failure) in enumerate(upstreams.tries):
        later = [(other, where) for other, where, _ in upstreams.tries[at + 1 :]]
        assert failure is not None or not later
        if failure is None:
            continue
        if failure.kind in OF_THE_REQUEST:
            assert not later
        elif failure.kind in OF_THE_TARGET:
            assert (model, target) not in later
        elif failure.kind not in model.retries.on:
            assert model not in [other for other, _ in later]


@given(configurations(), st.randoms(use_true_random=False))
def test_no_pause_is_longer_than_the_model_allows(
    snapshot: Snapshot, chance: random.Random
) -> None:
    upstreams, _ = asked(snapshot, chance)

    for model, seconds in upstreams.pauses:
        assert 0 < seconds <= model.retries.backoff_max_seconds
