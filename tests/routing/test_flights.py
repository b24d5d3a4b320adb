"""Of several that want the same, one fetches it for all."""

import asyncio

import pytest
from routing.fakes import BOUND_SECONDS, until

from meshgate.routing.flights import Flight, Flights
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import DeadlineExceededError, GatewayError


class Fetcher:
    """What is fetched, and by whom; a fetch takes until the test ends it."""

    def __init__(self) -> None:
        self.flights: Flights[str] = Flights()
        self.fetches: list[asyncio.Future[str | None]] = []

    def start(self, key: str = "k", seconds: float = BOUND_SECONDS) -> "asyncio.Task[str | None]":
        return asyncio.create_task(self._get(key, Deadline.after(seconds)))

    async def waiting(self, count: int) -> None:
        """Until so many have begun to fetch, and everybody else waits."""
        await until(lambda: len(self.fetches) == count)
        for _ in range(5):
            await asyncio.sleep(0)

    async def _get(self, key: str, deadline: Deadline) -> str | None:
        found = await self.flights.join(key, deadline)
        if not isinstance(found, Flight):
            return found if found is not None else await self._fetch()
        with found as flight:
            value = await self._fetch()
            flight.land(value)
            return value

    async def _fetch(self) -> str | None:
        self.fetches.append(asyncio.get_running_loop().create_future())
        return await self.fetches[-1]


@pytest.fixture
def fetcher() -> Fetcher:
    return Fetcher()


async def test_all_who_want_the_same_get_what_one_fetches(fetcher: Fetcher):
    tasks = [fetcher.start() for _ in range(5)]
    await fetcher.waiting(1)

    fetcher.fetches[0].set_result("x")

    assert await asyncio.gather(*tasks) == ["x"] * 5
    assert len(fetcher.fetches) == 1
    assert len(fetcher.flights) == 0


async def test_who_wants_something_else_waits_for_nobody(fetcher: Fetcher):
    one, other = fetcher.start("a"), fetcher.start("b")
    await fetcher.waiting(2)

    fetcher.fetches[1].set_result("b")

    assert await other == "b"
    fetcher.fetches[0].set_result("a")
    assert await one == "a"


async def test_who_comes_afterwards_fetches_anew(fetcher: Fetcher):
    first = fetcher.start()
    await fetcher.waiting(1)
    fetcher.fetches[0].set_result("old")
    await first

    second = fetcher.start()
    await fetcher.waiting(2)
    fetcher.fetches[1].set_result("new")

    assert await second == "new"


async def test_when_the_one_who_fetches_leaves_the_next_goes_on_for_the_others(fetcher: Fetcher):
    leader, *others = [fetcher.start() for _ in range(4)]
    await fetcher.waiting(1)

    leader.cancel()
    await fetcher.waiting(2)
    fetcher.fetches[1].set_result("x")

    assert await asyncio.gather(*others) == ["x"] * 3
    assert len(fetcher.fetches) == 2


async def test_when_its_time_is_up_the_next_goes_on_as_well(fetcher: Fetcher):
    leader, *others = [fetcher.start() for _ in range(3)]
    await fetcher.waiting(1)

    fetcher.fetches[0].set_exception(DeadlineExceededError("too late"))
    await fetcher.waiting(2)
    fetcher.fetches[1].set_result("x")

    with pytest.raises(DeadlineExceededError):
        await leader
    assert await asyncio.gather(*others) == ["x"] * 2


async def test_when_the_fetching_fails_each_goes_alone(fetcher: Fetcher):
    leader, *others = [fetcher.start() for _ in range(3)]
    await fetcher.waiting(1)

    fetcher.fetches[0].set_exception(GatewayError("no"))
    await fetcher.waiting(3)
    for fetch in fetcher.fetches[1:]:
        fetch.set_result("x")

    with pytest.raises(GatewayError, match="no"):
        await leader
    assert await asyncio.gather(*others) == ["x"] * 2


async def test_when_it_is_for_one_only_each_goes_alone(fetcher: Fetcher):
    leader, other = fetcher.start(), fetcher.start()
    await fetcher.waiting(1)

    fetcher.fetches[0].set_result(None)
    await fetcher.waiting(2)
    fetcher.fetches[1].set_result("mine")

    assert await asyncio.gather(leader, other) == [None, "mine"]


async def test_one_who_waits_and_leaves_takes_nothing_from_the_others(fetcher: Fetcher):
    leader, leaving, other = [fetcher.start() for _ in range(3)]
    await fetcher.waiting(1)

    leaving.cancel()
    await asyncio.wait([leaving])
    fetcher.fetches[0].set_result("x")

    assert await asyncio.gather(leader, other) == ["x", "x"]


async def test_nobody_waits_longer_than_their_own_deadline(fetcher: Fetcher):
    leader = fetcher.start()
    await fetcher.waiting(1)

    with pytest.raises(DeadlineExceededError):
        await fetcher.start(seconds=0.01)

    fetcher.fetches[0].set_result("x")
    assert await leader == "x"
