import asyncio

import pytest

from meshgate.auth.changes import PrincipalChanges, WatchClosedError
from meshgate.runtime.errors import ServiceUnavailableError

LONG = 60.0


async def test_every_watcher_is_told():
    changes = PrincipalChanges()
    with changes.watch() as first, changes.watch() as second:
        changes.publish(frozenset({"a"}))

        told = [await first.next(LONG), await second.next(LONG)]

    assert told == [{"a"}, {"a"}]


async def test_changes_gather_until_they_are_fetched():
    changes = PrincipalChanges()
    with changes.watch() as watch:
        changes.publish(frozenset({"a", "b"}))
        changes.publish(frozenset({"b", "c"}))

        assert await watch.next(LONG) == {"a", "b", "c"}
        assert await watch.next(0) == frozenset()


async def test_a_waiting_watcher_is_woken():
    changes = PrincipalChanges()
    with changes.watch() as watch:
        waiting = asyncio.ensure_future(watch.next(LONG))
        await asyncio.sleep(0)

        changes.publish(frozenset({"a"}))

        assert await waiting == {"a"}


async def test_what_was_published_before_is_not_told():
    changes = PrincipalChanges()
    changes.publish(frozenset({"a"}))

    with changes.watch() as watch:
        assert await watch.next(0) == frozenset()


async def test_a_slow_watcher_is_let_go_rather_than_kept_in_memory():
    changes = PrincipalChanges(maximum_pending=3)
    with changes.watch() as watch:
        for number in range(1_000):
            changes.publish(frozenset({str(number)}))

        assert len(watch._pending) <= 3
        with pytest.raises(ServiceUnavailableError):
            await watch.next(LONG)


async def test_closing_lets_every_watcher_go():
    changes = PrincipalChanges()
    with changes.watch() as watch:
        waiting = asyncio.ensure_future(watch.next(LONG))
        await asyncio.sleep(0)

        changes.close()

        with pytest.raises(WatchClosedError):
            await waiting
    with changes.watch() as late, pytest.raises(WatchClosedError):
        await late.next(LONG)


async def test_a_watcher_that_left_is_forgotten():
    changes = PrincipalChanges()

    with changes.watch():
        pass

    assert changes._watches == set()
