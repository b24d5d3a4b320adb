import asyncio

import pytest

from meshgate.runtime.outbox import Outbox


class Sent:
    """Notes what leaves, and in which turn of the loop."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, name: str) -> None:
        self.names.append(name)


async def test_what_is_put_in_leaves_in_order_and_not_before_the_turn_ends() -> None:
    sent = Sent()
    outbox = Outbox(lambda: 1)

    outbox.put(lambda: sent("one"))
    outbox.put(lambda: sent("two"))
    before = list(sent.names)
    await asyncio.sleep(0)

    assert (before, sent.names) == ([], ["one", "two"])


async def test_where_many_calls_are_in_flight_it_waits_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = Sent()
    outbox = Outbox(lambda: 100)
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "time", lambda: 1000.0)  # no time passes

    outbox.put(lambda: sent("one"))
    for _ in range(3):
        await asyncio.sleep(0)
    outbox.put(lambda: sent("two"))
    before = list(sent.names)
    monkeypatch.undo()
    while len(sent.names) < 2:
        await asyncio.sleep(0)

    assert (before, sent.names) == ([], ["one", "two"])


async def test_what_is_put_in_while_others_leave_follows_by_itself() -> None:
    sent = Sent()
    outbox = Outbox(lambda: 1)

    def again() -> None:
        sent("one")
        outbox.put(lambda: sent("two"))

    outbox.put(again)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert sent.names == ["one", "two"]


async def test_a_server_that_stops_sends_what_is_left_once() -> None:
    sent = Sent()
    outbox = Outbox(lambda: 1)
    outbox.put(lambda: sent("one"))

    outbox.flush()
    await asyncio.sleep(0)

    assert sent.names == ["one"]
