"""Looking up the addresses of a host."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
from runtime.binding import BOUND_SECONDS

from meshgate.runtime.lookup import Address, NameLookup


class ForgetfulNameServer:
    """Loses so many questions: who asked waits until the server goes away."""

    def __init__(self) -> None:
        self.loses = 0
        self.asked = 0
        self._gone = threading.Event()

    def find(self, _host: str, port: int) -> set[Address]:
        self.asked += 1
        if self.asked <= self.loses:
            self._gone.wait(BOUND_SECONDS)
        return {("10.0.0.1", port)}

    def go(self) -> None:
        self._gone.set()


@pytest.fixture
def server() -> Iterator[ForgetfulNameServer]:
    server = ForgetfulNameServer()
    yield server
    server.go()


async def asked_until(lookup: NameLookup, enough: Callable[[], bool]) -> set[Address]:
    """Ask, and ask anew when that is given up, until it is enough; the last answer."""
    found: set[Address] = set()
    async with asyncio.timeout(BOUND_SECONDS):
        while not enough():
            try:
                found = await lookup("host", 9000)
            except TimeoutError:
                continue
    return found


async def test_a_host_stands_for_its_addresses() -> None:
    lookup = NameLookup()

    assert await lookup("127.0.0.1", 9000) == {("127.0.0.1", 9000)}


async def test_what_is_no_name_is_an_error() -> None:
    lookup = NameLookup()

    with pytest.raises(UnicodeError):
        await lookup("a" * 64 + ".example", 9000)


async def test_a_question_that_was_lost_is_given_up(server: ForgetfulNameServer) -> None:
    server.loses = 1
    lookup = NameLookup(server.find, patience_seconds=0.01)

    with pytest.raises(TimeoutError):
        await lookup("host", 9000)


async def test_questions_that_were_lost_do_not_hold_up_the_next(
    server: ForgetfulNameServer,
) -> None:
    server.loses = 3
    lookup = NameLookup(server.find, patience_seconds=0.05)

    found = await asked_until(lookup, lambda: server.asked > server.loses)

    assert found == {("10.0.0.1", 9000)}


async def test_no_more_than_eight_questions_wait_at_a_time(server: ForgetfulNameServer) -> None:
    server.loses = 1000
    lookup = NameLookup(server.find, patience_seconds=0.001)
    await asked_until(lookup, lambda: server.asked == 8)

    for _ in range(20):
        with pytest.raises(TimeoutError):
            await lookup("host", 9000)

    assert server.asked == 8
