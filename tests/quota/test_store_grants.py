"""What is granted and what is refused; on every store."""

import pytest
from quota.worlds import ONE, key, per, places, soon

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import (
    LARGEST_AMOUNT,
    Enforcement,
    LimitKind,
    Subject,
    SubjectKind,
    WindowUnit,
)
from meshgate.quota.grants import Grant, Hold, LimitReached, NotGranted

MINUTE = WindowUnit.MINUTE


async def test_a_limit_of_n_admits_n(world):
    subjects = [key("k", per(MINUTE, 3))]

    outcomes = [await world.hold(f"g{n}", subjects) for n in range(5)]

    assert [isinstance(outcome, Grant) for outcome in outcomes] == [True] * 3 + [False] * 2


async def test_a_refusal_says_which_limit_whose_how_much_is_left_and_when(world):
    subjects = [
        key("k", per(MINUTE, 100)),
        Subject(SubjectKind.TEAM, "t", (per(MINUTE, 50, LimitKind.TOKENS),)),
    ]
    await world.hold("g1", subjects, Amounts(requests=1, input_tokens=40))
    await world.settle("g1", subjects, Amounts(requests=1, input_tokens=40))

    refused = await world.hold("g2", subjects, Amounts(requests=1, output_tokens=20))

    assert refused == LimitReached(
        "team/t", per(MINUTE, 50, LimitKind.TOKENS), remaining=10, requested=20,
        retry_after_seconds=65.0,
    )  # fmt: skip


async def test_of_several_limits_that_refuse_the_one_that_is_free_last_is_named(world):
    subjects = [key("k", per(MINUTE, 0), per(WindowUnit.HOUR, 0), per(WindowUnit.SECOND, 0))]

    refused = await world.hold("g", subjects)

    assert refused.limit.name == "requests/hour"


async def test_a_refused_hold_changes_nothing(world):
    subjects = [key("k", per(MINUTE, 5), per(MINUTE, 10, LimitKind.TOKENS), places(5))]
    await world.hold("g1", subjects, Amounts(requests=1, concurrency=1))

    await world.hold("g2", subjects, Amounts(requests=4, input_tokens=11, concurrency=4))

    assert await world.fits(subjects, Amounts(requests=4, input_tokens=10, concurrency=4))


async def test_a_limit_of_0_allows_nothing(world):
    assert isinstance(await world.hold("g1", [key("k", per(MINUTE, 0))]), LimitReached)
    assert isinstance(
        await world.hold("g2", [key("k", places(0))], Amounts(concurrency=1)), LimitReached
    )


async def test_what_is_not_needed_is_not_refused(world):
    subjects = [key("k", per(MINUTE, 0, LimitKind.OUTPUT_TOKENS), per(MINUTE, 5))]

    assert isinstance(await world.hold("g", subjects, ONE), Grant)


async def test_the_same_hold_again_is_answered_the_same_and_counted_once(world):
    subjects = [key("k", per(MINUTE, 2))]
    first = await world.hold("g", subjects)

    world.clock.advance(1)
    again = await world.hold("g", subjects)

    assert (again.grant_time, again.amounts) == (first.grant_time, first.amounts)
    assert again.repeated
    assert await world.fits(subjects, ONE)


async def test_the_same_hold_twice_in_a_batch_is_counted_once(world):
    subjects = (key("k", per(MINUTE, 1)),)
    item = Hold("g", "acme", subjects, ONE)

    outcomes = await world.store.hold([item, item], soon())

    assert all(isinstance(outcome, Grant) for outcome in outcomes)


async def test_a_hold_that_was_refused_may_be_granted_later(world):
    subjects = [key("k", per(MINUTE, 1))]
    await world.hold("g1", subjects)
    assert isinstance(await world.hold("g2", subjects), LimitReached)

    await world.release("g1")

    assert isinstance(await world.hold("g2", subjects), Grant)


async def test_items_of_a_batch_see_each_other_and_are_answered_in_order(world):
    subjects = (key("k", per(MINUTE, 2)),)
    items = [
        Hold(f"g{n}", partition, subjects, ONE)
        for n, partition in enumerate(["acme", "zeta", "acme", "acme", "zeta", "beta"])
    ]

    outcomes = await world.store.hold(items, soon())

    assert [isinstance(outcome, Grant) for outcome in outcomes] == [
        *(True, True, True, False, True, True)
    ]


async def test_partitions_share_nothing_even_in_one_shard(world):
    tag = Subject(SubjectKind.TAG, "env=prod", (per(MINUTE, 1),))
    items = [Hold("g", f"org-{n}", (tag,), ONE) for n in range(200)]

    outcomes = await world.store.hold(items, soon())

    assert all(isinstance(outcome, Grant) for outcome in outcomes)


async def test_names_that_look_like_others_with_a_partition_share_nothing(world):
    for partition, name in (("a", "1:b"), ("a:1", "b"), ("a:key/1", "b")):
        world.partition = partition
        assert isinstance(await world.hold("g", [key(name, per(MINUTE, 1))]), Grant)


async def test_a_changed_amount_applies_to_what_was_counted(world):
    await world.hold("g1", [key("k", per(MINUTE, 2))])

    lowered = await world.hold("g2", [key("k", per(MINUTE, 1))])
    raised = await world.hold("g3", [key("k", per(MINUTE, 3))])

    assert isinstance(lowered, LimitReached)
    assert isinstance(raised, Grant)


async def test_a_request_larger_than_the_limit_waits_for_a_window(world):
    refused = await world.hold(
        "g", [key("k", per(MINUTE, 10, LimitKind.TOKENS))], Amounts(input_tokens=11)
    )

    assert (refused.requested, refused.retry_after_seconds) == (11, 60.0)


async def test_what_others_only_hold_is_worth_asking_for_soon(world):
    subjects = [key("k", per(MINUTE, 1), per(WindowUnit.TOTAL, 1))]
    await world.hold("g1", subjects)

    refused = await world.hold("g2", subjects)

    assert refused.retry_after_seconds == 2.0


async def test_a_total_that_is_spent_is_not_worth_asking_for_today(world):
    subjects = [key("k", per(WindowUnit.TOTAL, 1))]
    await world.hold("g1", subjects)
    await world.settle("g1", subjects, ONE)

    refused = await world.hold("g2", subjects)

    assert refused.retry_after_seconds == 86_400.0


async def test_the_tightest_limits_on_requests_and_on_tokens_are_told(world):
    subjects = [
        key("k", per(MINUTE, 100), per(MINUTE, 1_000, LimitKind.TOKENS)),
        Subject(
            SubjectKind.ORGANIZATION,
            "o",
            (
                per(WindowUnit.DAY, 10),
                per(WindowUnit.TOTAL, 50, LimitKind.OUTPUT_TOKENS),
                per(MINUTE, 1, LimitKind.TOKENS, enforcement=Enforcement.SOFT),
            ),
        ),
    ]

    grant = await world.hold("g", subjects, Amounts(requests=1, output_tokens=20))

    assert [(s.subject_name, s.limit.name, s.remaining) for s in grant.states] == [
        ("organization/o", "requests/day", 9),
        ("organization/o", "output_tokens/total", 30),
    ]
    assert grant.states[1].reset_seconds is None


async def test_no_limits_refuse_nothing(world):
    grant = await world.hold("g", [key("k")], Amounts(LARGEST_AMOUNT))

    assert (grant.amounts, grant.states) == (Amounts(LARGEST_AMOUNT), ())


async def test_sums_near_what_can_be_counted_exactly_are_refused_and_not_wrong(world):
    subjects = [key("k", per(WindowUnit.TOTAL, LARGEST_AMOUNT, LimitKind.INPUT_TOKENS))]
    await world.hold("g1", subjects, Amounts(input_tokens=LARGEST_AMOUNT - 1))

    too_much = await world.hold("g2", subjects, Amounts(input_tokens=2))
    last = await world.hold("g3", subjects, Amounts(input_tokens=1))

    assert (too_much.remaining, too_much.requested) == (1, 2)
    assert isinstance(last, Grant)


async def test_a_soft_limit_refuses_nothing_and_is_told_once_a_window(world):
    soft = per(MINUTE, 2, enforcement=Enforcement.SOFT)
    for number in range(5):
        assert isinstance(await world.hold(f"g{number}", [key("k", soft)]), Grant)
    world.clock.advance(61)
    world.clock.advance(10)
    for number in range(5, 10):
        await world.hold(f"g{number}", [key("k", soft)])

    assert [(a.partition, a.subject_name, a.limit, a.total) for a in world.recorder.alerts] == [
        ("acme", "key/k", soft, 3)
    ] * 2


@pytest.mark.parametrize("enforcement", [Enforcement.NORMAL, Enforcement.STRICT])
async def test_a_soft_limit_beside_another_one_of_its_kind_counts_nothing_twice(world, enforcement):
    subjects = [
        key(
            "k",
            per(MINUTE, 2, enforcement=Enforcement.SOFT),
            per(MINUTE, 4, enforcement=enforcement),
        )
    ]

    outcomes = [await world.hold(f"g{n}", subjects) for n in range(5)]

    assert [isinstance(outcome, Grant) for outcome in outcomes] == [True] * 4 + [False]
    assert outcomes[-1].limit.enforcement is enforcement


async def test_a_hold_that_had_been_given_back_is_never_granted(world):
    await world.release("g")

    assert await world.hold("g", [key("k", per(MINUTE, 5))]) is NotGranted.RELEASED
