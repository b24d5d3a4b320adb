"""Which targets a request may go to, and in what order."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routing.fakes import model, snapshot

from meshgate.config.snapshot import Model, Target
from meshgate.routing.planning import Planner
from meshgate.runtime.errors import ModelNotFoundError

weights = st.floats(1e-9, 1_000_000) | st.just(1.0)
targets = st.lists(
    st.builds(Target, st.sampled_from("abc"), st.text("xyz"), weights, st.integers(-2, 2)),
    min_size=1,
    max_size=6,
)


def first_of(*shares: float, seed: int, count: int = 4000) -> Counter[str]:
    """How often each of some targets comes first."""
    drawn = tuple(Target(str(at), "m", weight) for at, weight in enumerate(shares))
    planner = Planner(snapshot(Model("m", drawn)), random.Random(seed).random)
    return Counter(planner.plan("m").targets[0].provider for _ in range(count))


def test_priority_keeps_the_order_of_the_configuration() -> None:
    planner = Planner(snapshot(model("m", "a", "b", "c")))

    assert [target.provider for target in planner.plan("m").targets] == ["a", "b", "c"]


@pytest.mark.parametrize("scale", [1e-9, 0.0001, 0.01, 1.0, 100_000.0])
def test_weights_hit_their_share_whatever_their_scale(scale: float) -> None:
    firsts = first_of(9 * scale, 1 * scale, seed=1)

    assert firsts["0"] / 4000 == pytest.approx(0.9, abs=0.02)


def test_the_second_place_is_drawn_by_weight_too() -> None:
    drawn = (Target("a", "m", 8.0), Target("b", "m", 1.5), Target("c", "m", 0.5))
    planner = Planner(snapshot(Model("m", drawn)), random.Random(2).random)
    plans = [planner.plan("m").targets for _ in range(6000)]

    seconds = Counter(plan[1].provider for plan in plans if plan[0].provider == "a")

    assert seconds["b"] / seconds.total() == pytest.approx(0.75, abs=0.03)


@given(targets, st.randoms(use_true_random=False))
def test_every_target_stands_in_a_plan_exactly_once_and_lower_priorities_first(
    several: list[Target], chance: random.Random
) -> None:
    planner = Planner(snapshot(Model("m", tuple(several))), chance.random)

    planned = planner.plan("m").targets

    assert Counter(planned) == Counter(several)
    assert [target.priority for target in planned] == sorted(t.priority for t in several)


@pytest.mark.parametrize("drawn", [0.0, 1 - 2**-53])
def test_the_ends_of_chance_do_no_harm(drawn: float) -> None:
    several = (Target("a", "m", 1e-9), Target("b", "m", 1e6))

    planned = Planner(snapshot(Model("m", several)), lambda: drawn).plan("m").targets

    assert set(planned) == set(several)


def test_fallbacks_come_after_the_model_and_theirs_after_them() -> None:
    planner = Planner(
        snapshot(
            model("m", "a", fallbacks=("n", "o")),
            model("n", "a", fallbacks=("p",)),
            model("o", "a"),
            model("p", "a"),
        )
    )

    assert [plan.model.name for plan in planner.plans("m")] == ["m", "n", "o", "p"]


@given(st.dictionaries(st.sampled_from("mnop"), st.lists(st.sampled_from("mnop"), max_size=4)))
def test_fallbacks_that_point_in_circles_end(links: dict[str, list[str]]) -> None:
    models = (model(name, "a", fallbacks=tuple(links.get(name, ()))) for name in "mnop")

    names = [plan.model.name for plan in Planner(snapshot(*models)).plans("m")]

    assert len(names) == len(set(names))
    assert names[0] == "m"


def test_an_unknown_model_is_named_in_short() -> None:
    planner = Planner(snapshot(model("m", "a")))

    with pytest.raises(ModelNotFoundError) as raised:
        planner.plan("x" * 400)

    assert raised.value.values == {"model": "x" * 200}
    assert len(raised.value.message) < 300
