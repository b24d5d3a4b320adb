import asyncio
import os
from contextlib import aclosing

import pytest
from structlog.testing import capture_logs

from meshgate.config.problems import ConfigurationError
from meshgate.config.snapshot import Snapshot
from meshgate.config.source import FileSource, FixedSource

ONE = "providers: {demo: {kind: demo}}\nmodels: {a: {targets: [{provider: demo}]}}\n"
TWO = ONE.replace("{a:", "{b:")


class Ticks:
    """A sleep that lasts until the test says so."""

    def __init__(self) -> None:
        self._gate = asyncio.Semaphore(0)

    async def sleep(self, _seconds: float) -> None:
        await self._gate.acquire()

    def let_pass(self) -> None:
        self._gate.release()


def test_a_broken_file_is_refused_at_the_start(directory):
    with pytest.raises(ConfigurationError):
        FileSource(directory.write("guardrails: []"))


def test_an_unchanged_file_keeps_its_snapshot(directory):
    source = FileSource(directory.write(ONE))
    before = source.current()

    directory.main.touch()

    assert source.poll() is before


def test_a_changed_file_gives_a_new_snapshot(directory):
    source = FileSource(directory.write(ONE))

    directory.write(TWO)

    assert list(source.poll().models) == ["b"]
    assert list(source.current().models) == ["b"]


def test_a_change_that_keeps_length_and_times_is_seen(directory):
    source = FileSource(directory.write(ONE))
    times = directory.main.stat().st_atime_ns, directory.main.stat().st_mtime_ns

    directory.write(TWO)
    os.utime(directory.main, ns=times)

    assert list(source.poll().models) == ["b"]


def test_a_changed_comment_is_no_change(directory):
    source = FileSource(directory.write(ONE))
    before = source.current()

    directory.write(ONE + "# more\n")

    assert source.poll() is before


def test_files_that_are_included_are_watched_and_new_ones_found(directory):
    source = FileSource(directory.write(ONE + "include: ['conf.d/*.yaml']\n"))

    directory.write("models: {c: {targets: [{provider: demo}]}}\n", "conf.d/c.yaml")
    added = source.poll()
    (directory.path / "conf.d/c.yaml").unlink()
    removed = source.poll()

    assert list(added.models) == ["a", "c"]
    assert list(removed.models) == ["a"]


@pytest.mark.parametrize("broken", ["models: {a", "guardrails: []\n", ""])
def test_a_broken_change_is_refused_and_logged_once(directory, broken):
    source = FileSource(directory.write(ONE))
    before = source.current()
    directory.write(broken)

    with capture_logs() as logs:
        source.poll()
        directory.main.touch()
        snapshot = source.poll()

    assert snapshot is before
    assert [entry["log_level"] for entry in logs] == ["error"]
    assert "meshgate.yaml:" in logs[0]["problems"][0]


def test_a_file_that_went_away_is_refused_until_it_is_back(directory):
    source = FileSource(directory.write(ONE))
    directory.main.unlink()
    source.poll()

    directory.write(TWO)

    assert list(source.poll().models) == ["b"]


def test_an_included_file_that_comes_back_is_found(directory):
    more = directory.write("models: {c: {targets: [{provider: demo}]}}\n", "more.yaml")
    source = FileSource(directory.write(ONE + "include: [more.yaml]\n"))
    more.unlink()
    source.poll()

    directory.write("models: {d: {targets: [{provider: demo}]}}\n", "more.yaml")

    assert list(source.poll().models) == ["a", "d"]


async def test_changes_yields_what_was_loaded_well(directory):
    ticks = Ticks()
    source = FileSource(directory.write(ONE), sleep=ticks.sleep)
    async with aclosing(source.changes()) as changes:
        waiting = asyncio.ensure_future(anext(changes))

        directory.write("broken: [")
        ticks.let_pass()
        directory.write(TWO)
        ticks.let_pass()
        ticks.let_pass()
        snapshot = await waiting

    assert list(snapshot.models) == ["b"]


async def test_several_may_iterate_over_the_changes(directory):
    ticks = Ticks()
    source = FileSource(directory.write(ONE), sleep=ticks.sleep)
    async with aclosing(source.changes()) as first, aclosing(source.changes()) as second:
        waiting = [asyncio.ensure_future(anext(first)), asyncio.ensure_future(anext(second))]

        directory.write(TWO)
        ticks.let_pass()
        ticks.let_pass()
        snapshots = await asyncio.gather(*waiting)

    assert [list(snapshot.models) for snapshot in snapshots] == [["b"], ["b"]]


async def test_a_change_between_the_call_and_the_first_wait_is_not_missed(directory):
    ticks = Ticks()
    source = FileSource(directory.write(ONE), sleep=ticks.sleep)
    async with aclosing(source.changes()) as changes:
        directory.write(TWO)
        source.poll()

        ticks.let_pass()
        snapshot = await anext(changes)

    assert list(snapshot.models) == ["b"]


async def test_a_fixed_source_never_changes():
    source = FixedSource(Snapshot("r"))
    async with aclosing(source.changes()) as changes:
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)

        waiting.cancel()
        done = await asyncio.gather(waiting, return_exceptions=True)

    assert isinstance(done[0], asyncio.CancelledError)
    assert source.current() == Snapshot("r")
