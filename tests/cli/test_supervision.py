import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from meshgate.cli import supervision
from meshgate.cli.child import Program
from meshgate.cli.supervision import BACKOFF_MAX_SECONDS, Backoff, StartError, Supervisor

BOUND_SECONDS = 20.0
SERVE = "import pathlib, signal, sys; pathlib.Path(sys.argv[1]).touch(); signal.pause()"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


class FileProbe:
    """Passed when a file is there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.obstacle = f"{path.name} is not there"

    async def passed(self) -> None:
        await until(self._path.exists)


class Pauses:
    """A sleep that takes no time, and notes how long it would have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


class Sayings:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    async def wait_for(self, part: str, count: int = 1) -> None:
        await until(lambda: sum(part in line for line in self.lines) >= count)


@pytest.fixture
def said() -> Sayings:
    return Sayings()


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
async def supervisor(tmp_path, said, pauses):
    supervisor = Supervisor(tmp_path / "logs", said, BOUND_SECONDS, sleep=pauses.sleep)
    async with supervisor:
        yield supervisor


def program(
    tmp_path: Path, script: str, name: str = "child", stop_seconds: float = 10.0
) -> Program:
    """A process that runs a script; it is ready when it has made the file that it is told."""
    file = tmp_path / f"{name}.ready"
    command = (sys.executable, "-I", "-S", "-c", script, str(file))
    return Program(name, command, {}, lambda: FileProbe(file), stop_seconds)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def commands_of_children() -> list[str]:
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    files = [Path(f"/proc/{pid}/cmdline") for pid in pids]
    return [file.read_text() for file in files if file.exists()]


async def test_a_program_has_started_when_its_probe_is_passed(tmp_path, supervisor):
    await supervisor.start(program(tmp_path, SERVE))

    assert (tmp_path / "child.ready").exists()
    assert is_alive(supervisor.pid("child"))


async def test_a_program_that_dies_is_started_again_and_this_is_said(tmp_path, supervisor, said):
    await supervisor.start(program(tmp_path, SERVE))
    first = supervisor.pid("child")

    os.kill(first, signal.SIGKILL)

    await said.wait_for("child serves again")
    log = tmp_path / "logs" / "child.log"
    assert said.lines[0] == (
        f"child ended (killed by SIGKILL, see {log}); starting it again in 0.2 s"
    )
    assert supervisor.pid("child") != first
    assert is_alive(supervisor.pid("child"))


async def test_who_wants_to_know_hears_of_a_new_process(tmp_path, said, pauses):
    changes = []
    supervisor = Supervisor(
        tmp_path, said, changed=lambda: changes.append("changed"), sleep=pauses.sleep
    )
    async with supervisor:
        await supervisor.start(program(tmp_path, SERVE))

        os.kill(supervisor.pid("child"), signal.SIGKILL)
        await said.wait_for("child serves again")

    assert changes == ["changed"]


async def test_a_crash_loop_is_slowed_down(tmp_path, supervisor, said, pauses):
    await supervisor.start(program(tmp_path, SERVE))

    for count in range(1, 9):
        os.kill(supervisor.pid("child"), signal.SIGKILL)
        await said.wait_for("child serves again", count)

    assert pauses.seconds == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_the_backoff_begins_anew_after_a_while_of_health():
    backoff = Backoff()

    delays = [backoff.next_seconds(healthy_seconds) for healthy_seconds in (0, 0, 0, 30, 0)]

    assert delays == [0.2, 0.4, 0.8, 0.2, 0.4]


def test_the_backoff_is_bounded():
    backoff = Backoff()

    delays = [backoff.next_seconds(29.9) for _ in range(20)]

    assert delays == sorted(delays)
    assert delays[-1] == BACKOFF_MAX_SECONDS


async def test_a_program_that_ends_at_start_fails_with_its_last_words(tmp_path, supervisor):
    script = "import sys; sys.stderr.write('the key is missing'); sys.exit(1)"

    with pytest.raises(StartError) as failure:
        await supervisor.start(program(tmp_path, script))

    assert "child ended before it served (exit status 1)" in str(failure.value)
    assert str(failure.value).endswith("\n  the key is missing")


async def test_a_program_that_does_not_exist_fails_in_one_sentence(tmp_path, supervisor):
    nothing = Program("child", ("/nowhere/envoy",), {}, lambda: FileProbe(tmp_path / "never"))

    with pytest.raises(StartError, match="cannot run /nowhere/envoy: No such file"):
        await supervisor.start(nothing)


async def test_a_program_that_never_serves_is_ended_and_says_what_is_in_the_way(
    tmp_path, supervisor
):
    with pytest.raises(StartError, match=r"does not serve after 0 s \(child.ready is not there\)"):
        await supervisor.start(program(tmp_path, "import signal; signal.pause()"), 0.3)

    assert not is_alive(supervisor.pid("child"))


async def test_a_program_may_ask_for_more_time_to_start(tmp_path, said):
    script = f"import time; time.sleep(0.2); {SERVE}"
    patient = replace(program(tmp_path, script), start_seconds=BOUND_SECONDS)
    async with Supervisor(tmp_path / "logs", said, 0.05) as supervisor:
        await supervisor.start(patient)

        assert is_alive(supervisor.pid("child"))


async def test_of_a_start_that_takes_long_it_is_said_what_is_in_the_way(
    tmp_path, supervisor, said, monkeypatch
):
    monkeypatch.setattr(supervision, "SLOW_SECONDS", 0.05)
    ready = tmp_path / "child.ready"
    starting = asyncio.create_task(
        supervisor.start(program(tmp_path, "import signal; signal.pause()"))
    )

    await said.wait_for("child does not serve yet (child.ready is not there); waiting")
    ready.touch()

    await starting


async def test_a_restarted_program_that_never_serves_is_tried_again(tmp_path, said, pauses):
    script = """
import pathlib, signal, sys
ready = pathlib.Path(sys.argv[1])
runs = ready.with_name("runs")
runs.write_text(runs.read_text() + "x" if runs.exists() else "x")
if runs.read_text() != "xx":
    ready.touch()
signal.pause()
"""
    ready = tmp_path / "child.ready"
    supervisor = Supervisor(tmp_path / "logs", said, 2.0, sleep=pauses.sleep)
    async with supervisor:
        await supervisor.start(program(tmp_path, script), BOUND_SECONDS)
        ready.unlink()

        os.kill(supervisor.pid("child"), signal.SIGKILL)

        await said.wait_for("child serves again")
    assert (tmp_path / "runs").read_text() == "xxx"


async def test_programs_stop_in_the_order_asked_for(tmp_path, supervisor):
    script = """
import pathlib, signal, sys
ready = pathlib.Path(sys.argv[1])
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
ready.touch()
signal.sigwait({signal.SIGTERM})
with ready.with_name("order").open("a") as order:
    order.write(ready.stem + " ")
"""
    for name in ("auth", "envoy", "routing"):
        await supervisor.start(program(tmp_path, script, name))

    await supervisor.stop([["routing"], ["auth"], ["envoy"]])

    assert (tmp_path / "order").read_text() == "routing auth envoy "


async def test_what_is_stopped_is_not_started_again(tmp_path, supervisor, said):
    await supervisor.start(program(tmp_path, SERVE))

    await supervisor.stop([["child"]])

    assert not is_alive(supervisor.pid("child"))
    assert said.lines == []


async def test_a_program_that_will_not_stop_is_killed(tmp_path, supervisor):
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SERVE.replace(
        "signal.pause()", "[signal.pause() for _ in iter(int, 1)]"
    )
    await supervisor.start(program(tmp_path, stubborn, stop_seconds=0.2))

    await supervisor.stop([["child"]])

    assert not is_alive(supervisor.pid("child"))


async def test_nothing_outlives_the_block_whatever_ended_it(tmp_path, said):
    supervisor = Supervisor(tmp_path / "logs", said)

    async def fail() -> None:
        async with supervisor:
            await supervisor.start(program(tmp_path, SERVE))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert not is_alive(supervisor.pid("child"))


async def test_nothing_is_left_of_a_start_that_was_cancelled(tmp_path, supervisor):
    starting = asyncio.create_task(
        supervisor.start(program(tmp_path, "import signal; signal.pause()"))
    )
    await until((tmp_path / "logs" / "child.log").exists)

    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await supervisor.kill()

    assert [command for command in commands_of_children() if "signal.pause" in command] == []


async def test_ctrl_c_in_the_terminal_does_not_reach_the_programs(tmp_path, supervisor):
    await supervisor.start(program(tmp_path, SERVE))

    pid = supervisor.pid("child")

    assert os.getpgid(pid) != os.getpgid(0)
    assert os.getsid(pid) != os.getsid(0)


async def test_a_supervisor_that_is_killed_takes_its_programs_with_it(tmp_path):
    script = f"""
import asyncio, pathlib, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_supervision import SERVE, Supervisor, program
tmp_path = pathlib.Path(sys.argv[1])

async def main():
    async with Supervisor(tmp_path / "logs", print) as supervisor:
        await supervisor.start(program(tmp_path, SERVE))
        print(supervisor.pid("child"), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert killed.stdout is not None
    async with asyncio.timeout(BOUND_SECONDS):
        pid = int(await killed.stdout.readline())
    assert is_alive(pid)

    killed.kill()
    await killed.wait()

    await until(lambda: not is_alive(pid))
