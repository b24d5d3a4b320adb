import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.cli import process_log
from meshgate.cli.process_log import ProcessLog, notable


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
def log(tmp_path, shown):
    log = ProcessLog(tmp_path / "logs" / "auth.log", shown.append, now=lambda: 0.0)
    yield log
    log.close()


def event(level: str, **fields: object) -> str:
    return json.dumps({"event": "it happened", "level": level, "service": "auth", **fields})


@pytest.mark.parametrize("level", ["warning", "error", "critical"])
def test_a_warning_or_worse_is_shown_with_its_fields(level):
    assert notable(event(level, key="config/bench")) == f"{level}: it happened key=config/bench"


@pytest.mark.parametrize("level", ["debug", "info"])
def test_what_is_routine_is_not_shown(level):
    assert notable(event(level)) is None


def test_of_an_exception_the_last_line_is_shown():
    line = event("error", exception="Traceback ...\n  File ...\nKeyError: 'model'")

    assert notable(line) == "error: it happened (KeyError: 'model')"


def test_envoys_own_lines_are_read_by_their_level():
    head = "[2026-01-02 03:04:05.678][12]"

    assert notable(f"{head}[info][main] [source/server.cc:1] starting") is None
    assert notable(f"{head}[error][main] [source/x.cc:1] no room") == "error: no room"


def test_of_redis_what_it_warns_of_is_shown():
    head = "7438:M 21 Nov 2026 10:02:17.567"

    assert notable(f"{head} * Server initialized") is None
    assert notable(f"{head} # Error writing to the AOF file: No space left on device") == (
        "warning: Error writing to the AOF file: No space left on device"
    )
    assert notable(f"{head} # Warning: Could not create server") == (
        "warning: Could not create server"
    )


@pytest.mark.parametrize(
    "text",
    [
        "WARNING Memory overcommit must be enabled!",
        "WARNING: The TCP backlog setting of 511 cannot be enforced because somaxconn is 128.",
        "Valkey is now ready to exit, bye bye...",
    ],
)
def test_what_redis_always_says_is_not_shown(text):
    assert notable(f"7438:M 21 Nov 2026 10:02:17.567 # {text}") is None


@pytest.mark.parametrize("line", ["Traceback (most recent call last):", "{broken", "[]"])
def test_a_line_in_no_known_form_stays_in_the_file(line):
    assert notable(line) is None


def test_lines_go_to_the_file_however_the_reads_split_them(log):
    for part in (b"one\ntw", b"o\n", b"thr", b"ee"):
        log.feed(part)
    log.end_line()

    assert log.path.read_bytes() == b"one\ntwo\nthree\n"
    assert log.last_lines() == ["one", "two", "three"]


@given(lines=st.lists(st.binary().filter(lambda line: b"\n" not in line)))
def test_nothing_is_lost_between_reads(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("logs") / "auth.log"
    log = ProcessLog(path, lambda _: None)
    data = b"".join(line + b"\n" for line in lines)

    for at in range(0, len(data), 3):
        log.feed(data[at : at + 3])
    log.close()

    assert path.read_bytes() == data


def test_a_line_without_end_does_not_grow_without_end(log):
    log.feed(b"x" * (process_log.MAXIMUM_LINE_BYTES + 1))

    assert log.path.stat().st_size == process_log.MAXIMUM_LINE_BYTES + 2


def test_an_earlier_runs_log_is_kept_beside_it(tmp_path, log, shown):
    log.feed(b"the first run\n")
    log.close()

    second = ProcessLog(log.path, shown.append)
    second.feed(b"the second run\n")
    second.close()

    assert log.path.read_bytes() == b"the second run\n"
    assert log.path.with_name("auth.log.1").read_bytes() == b"the first run\n"


def test_a_log_that_grows_is_rotated(log, monkeypatch):
    monkeypatch.setattr(process_log, "MAXIMUM_BYTES", 10)

    log.feed(b"123456789012\nnext\n")

    assert log.path.read_bytes() == b"next\n"


def test_a_flood_of_warnings_does_not_flood_the_terminal(log, shown):
    log.feed((event("warning") + "\n").encode() * 1000)

    assert len(shown) == 20
    assert shown[-1] == f"and more, see {log.path}"
