"""Group commit: one batch in flight, the rest gathers."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime.binding import until

from meshgate.runtime.batching import Batcher
from meshgate.runtime.errors import (
    DeadlineExceededError,
    GatewayError,
    InvalidRequestError,
    ServiceUnavailableError,
)


@dataclass
class Door:
    """Takes batches, and lets each through when told; the outcome of `n` is `n * 10`."""

    batches: list[list[int]] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    granted: list[int] = field(default_factory=list)

    async def send(self, items: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(items))
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(gate)
        await gate
        self.granted += items
        return [item * 10 for item in items]

    def let_through(self) -> None:
        self.waiting.pop(0).set_result(None)

    def refuse(self, error: BaseException) -> None:
        self.waiting.pop(0).set_exception(error)


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def batcher(door: Door) -> Batcher[int, int]:
    return Batcher(door.send)


def submitted(batcher: Batcher[int, int], *items: int) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(batcher.submit(item)) for item in items]


async def test_a_single_item_goes_at_once(door: Door, batcher: Batcher[int, int]) -> None:
    [task] = submitted(batcher, 1)

    await until(lambda: door.waiting)
    door.let_through()

    assert await task == 10
    assert door.batches == [[1]]


async def test_what_gathers_during_a_flight_goes_together_as_the_next(
    door: Door, batcher: Batcher[int, int]
) -> None:
    first = submitted(batcher, 1)
    await until(lambda: door.waiting)
    rest = submitted(batcher, 2, 3, 4)
    await asyncio.sleep(0)

    assert len(door.batches) == 1
    door.let_through()
    await until(lambda: door.waiting)
    door.let_through()

    assert await asyncio.gather(*first, *rest) == [10, 20, 30, 40]
    assert door.batches == [[1], [2, 3, 4]]


async def test_a_batch_holds_no_more_than_the_most_items(door: Door) -> None:
    batcher = Batcher(door.send, most_items=2)
    tasks = submitted(batcher, 1, 2, 3, 4, 5)

    for _ in range(3):
        await until(lambda: door.waiting)
        door.let_through()

    assert await asyncio.gather(*tasks) == [10, 20, 30, 40, 50]
    assert door.batches == [[1, 2], [3, 4], [5]]


async def test_a_batch_that_meets_an_absent_service_is_sent_once_more(
    door: Door, batcher: Batcher[int, int]
) -> None:
    tasks = submitted(batcher, 1, 2)
    await until(lambda: door.waiting)

    door.refuse(ServiceUnavailableError("away"))
    await until(lambda: door.waiting)
    door.let_through()

    assert await asyncio.gather(*tasks) == [10, 20]
    assert door.batches == [[1, 2], [1, 2]]


async def test_a_batch_that_fails_twice_is_given_up(door: Door, batcher: Batcher[int, int]) -> None:
    [task] = submitted(batcher, 1)

    for _ in range(2):
        await until(lambda: door.waiting)
        door.refuse(ServiceUnavailableError("away"))

    with pytest.raises(ServiceUnavailableError):
        await task
    assert door.batches == [[1], [1]]


@pytest.mark.parametrize(
    ("error", "batches"),
    [(ServiceUnavailableError("away"), [[1], [1]]), (DeadlineExceededError("late"), [[1]])],
)
async def test_those_behind_a_batch_that_nobody_answers_do_not_wait_for_silence_again(
    door: Door, batcher: Batcher[int, int], error: GatewayError, batches: list[list[int]]
) -> None:
    first = submitted(batcher, 1)
    await until(lambda: door.waiting)
    rest = submitted(batcher, 2, 3)
    await asyncio.sleep(0)

    for _ in batches:
        await until(lambda: door.waiting)
        door.refuse(error)

    told = await asyncio.gather(*first, *rest, return_exceptions=True)
    assert told == [error] * 3
    assert door.batches == batches


async def test_any_other_error_is_not_sent_again(door: Door, batcher: Batcher[int, int]) -> None:
    tasks = submitted(batcher, 1, 2)
    await until(lambda: door.waiting)

    door.refuse(InvalidRequestError("bad batch"))

    for task in tasks:
        with pytest.raises(InvalidRequestError):
            await task
    assert door.batches == [[1, 2]]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), asyncio.CancelledError()])
async def test_an_unexpected_end_leaves_nobody_waiting_and_the_next_batch_goes(
    door: Door, batcher: Batcher[int, int], error: BaseException
) -> None:
    tasks = submitted(batcher, 1, 2)
    await until(lambda: door.waiting)
    later = submitted(batcher, 3)
    await asyncio.sleep(0)

    door.refuse(error)
    for task in tasks:
        with pytest.raises(GatewayError):
            await task
    await until(lambda: door.waiting)
    door.let_through()

    assert await asyncio.gather(*later) == [30]


async def test_an_unexpected_exception_is_an_internal_error_without_its_text(
    door: Door, batcher: Batcher[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    [task] = submitted(batcher, 1)
    await until(lambda: door.waiting)

    door.refuse(RuntimeError("secret detail"))

    with pytest.raises(GatewayError, match=r"^internal error$"):
        await task
    captured = capsys.readouterr()
    assert "RuntimeError" in captured.out + captured.err
    assert "secret detail" not in captured.out + captured.err


@pytest.mark.parametrize("outcomes", [[], [1], [1, 2, 3]])
async def test_a_wrong_number_of_outcomes_is_an_internal_error(outcomes: list[int]) -> None:
    async def send(_items: Sequence[int]) -> Sequence[int]:
        return outcomes

    tasks = submitted(Batcher(send), 1, 2)

    for task in tasks:
        with pytest.raises(GatewayError, match="internal error"):
            await task


async def test_a_waiter_that_leaves_takes_no_outcome_from_the_others(
    door: Door, batcher: Batcher[int, int]
) -> None:
    stays, leaves = submitted(batcher, 1, 2)
    await until(lambda: door.waiting)

    leaves.cancel()
    door.let_through()

    assert await stays == 10
    assert door.granted == [1, 2]


async def test_close_waits_for_what_was_submitted(door: Door, batcher: Batcher[int, int]) -> None:
    tasks = submitted(batcher, 1)
    await until(lambda: door.waiting)
    tasks += submitted(batcher, 2)
    await asyncio.sleep(0)

    closing = asyncio.create_task(batcher.close())
    door.let_through()
    await until(lambda: door.waiting)
    assert not closing.done()
    door.let_through()
    await closing

    assert await asyncio.gather(*tasks) == [10, 20]


async def test_giving_up_on_close_cancels_nothing(door: Door, batcher: Batcher[int, int]) -> None:
    [task] = submitted(batcher, 1)
    await until(lambda: door.waiting)

    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    door.let_through()

    assert await task == 10


async def test_close_with_nothing_in_flight_is_done_at_once(batcher: Batcher[int, int]) -> None:
    await batcher.close()


STEPS = st.lists(
    st.one_of(
        st.just(("submit", 0)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.just(("let through", 0)),
        st.just(("refuse", 0)),
        st.just(("break", 0)),
        st.tuples(st.just("turn"), st.integers(1, 4)),
    ),
    max_size=60,
)


class Play:
    """Plays steps on a batcher, then lets everything land."""

    def __init__(self, most_items: int) -> None:
        self.door = Door()
        self.batcher = Batcher(self.door.send, most_items)
        self.tasks: list[asyncio.Task[int]] = []

    async def step(self, name: str, number: int) -> None:
        match name:
            case "submit":
                self.tasks += submitted(self.batcher, len(self.tasks))
            case "cancel" if number < len(self.tasks):
                self.tasks[number].cancel()
            case "let through" if self.door.waiting:
                self.door.let_through()
            case "refuse" if self.door.waiting:
                self.door.refuse(ServiceUnavailableError("away"))
            case "break" if self.door.waiting:
                self.door.refuse(RuntimeError("a bug"))
            case "turn":
                for _ in range(number):
                    await asyncio.sleep(0)

    async def end(self) -> None:
        closing = asyncio.ensure_future(asyncio.wait(self.tasks)) if self.tasks else None
        while closing is not None and not closing.done():
            if self.door.waiting:
                self.door.let_through()
            await asyncio.sleep(0)
        await self.batcher.close()


@given(steps=STEPS, most_items=st.integers(1, 5))
def test_every_grant_is_had_by_its_waiter_unless_it_left(
    steps: list[tuple[str, int]], most_items: int
) -> None:
    play = Play(most_items)

    async def run() -> None:
        async with asyncio.timeout(20):
            for step in steps:
                await play.step(*step)
            await play.end()

    asyncio.run(run())

    left = {item for item, task in enumerate(play.tasks) if task.cancelled()}
    had = set()
    for item, task in enumerate(play.tasks):
        if not task.cancelled() and task.exception() is None:
            assert task.result() == item * 10
            had.add(item)
    assert had == set(play.door.granted) - left


@given(steps=STEPS, most_items=st.integers(1, 5))
def test_items_go_in_the_order_in_which_they_came(
    steps: list[tuple[str, int]], most_items: int
) -> None:
    play = Play(most_items)

    async def run() -> None:
        async with asyncio.timeout(20):
            for step in steps:
                await play.step(*step)
            await play.end()

    asyncio.run(run())

    first_sent = list(dict.fromkeys(item for batch in play.door.batches for item in batch))
    assert first_sent == sorted(first_sent)
    assert all(batch == sorted(batch) for batch in play.door.batches)
    assert all(len(batch) <= most_items for batch in play.door.batches)
    assert all(play.door.batches.count(batch) <= 2 for batch in play.door.batches)
