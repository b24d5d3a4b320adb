import asyncio

import pytest

from meshgate.cli import access_log
from meshgate.cli.access_log import AccessLog


class Envoy:
    """Begins a new file when it is told to."""

    def __init__(self, path) -> None:
        self._path = path
        self.reopened = 0

    async def reopen(self) -> None:
        self.reopened += 1
        self._path.write_text("new")


class Looks:
    """A sleep that lets so many looks happen, and then none."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.over = asyncio.Event()

    async def sleep(self, _seconds: float) -> None:
        if not self._left:
            self.over.set()
            await asyncio.Event().wait()
        self._left -= 1


@pytest.fixture(autouse=True)
def bound(monkeypatch):
    monkeypatch.setattr(access_log, "MAXIMUM_BYTES", 20)


async def look(path, envoy: Envoy, count: int = 3) -> None:
    looks = Looks(count)
    keeping = asyncio.create_task(AccessLog(path, envoy.reopen, looks.sleep).keep_small())
    await looks.over.wait()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_a_log_of_half_the_bound_is_put_aside_and_begun_anew(tmp_path):
    path = tmp_path / "access.log"
    path.write_text("ten bytes!")
    envoy = Envoy(path)

    await look(path, envoy)

    assert envoy.reopened == 1
    assert path.read_text() == "new"
    assert (tmp_path / "access.log.1").read_text() == "ten bytes!"


async def test_a_small_log_is_left_alone(tmp_path):
    path = tmp_path / "access.log"
    path.write_text("nine byte")
    envoy = Envoy(path)

    await look(path, envoy)

    assert envoy.reopened == 0


async def test_a_log_that_is_not_there_is_no_trouble(tmp_path):
    envoy = Envoy(tmp_path / "access.log")

    await look(tmp_path / "access.log", envoy)

    assert envoy.reopened == 0


def test_an_earlier_runs_log_is_kept_beside_it(tmp_path):
    path = tmp_path / "access.log"
    path.write_text("the first run")

    AccessLog(path, Envoy(path).reopen).rotate()

    assert not path.exists()
    assert (tmp_path / "access.log.1").read_text() == "the first run"
