"""What the processes of the mesh write to stderr: kept in files, the warnings also shown."""

import contextlib
import json
import re
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

MAXIMUM_BYTES = 16 * 1024 * 1024
MAXIMUM_LINE_BYTES = 64 * 1024
LAST_LINES = 15

_SHOWN_LEVELS = ("warning", "error", "critical")
_SHOWN_LINES = 20
_SHOWN_SECONDS = 10.0
_LEAVE_OUT = ("event", "level", "timestamp", "service", "exception")
_ENVOY = re.compile(r"\[[-\d :.]+\]\[\d+\]\[(?P<level>\w+)\]\[\w+\] (?:\[[^\]]*\] )?(?P<text>.*)")
# What Envoy says to a signal of ours.
_EXPECTED = ("caught ENVOY_SIGTERM",)
_REDIS = re.compile(r"\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ # (?P<text>.*)")
# What Redis and Valkey say of most machines, and to a signal of ours.
_EXPECTED_OF_REDIS = re.compile(
    r"WARNING.*(Memory overcommit|TCP backlog|Transparent Huge Pages)|.* now ready to exit"
)


class ProcessLog:
    """The log of one process, over all its lives.

    What an earlier run left is kept beside it, as `<name>.log.1`; so is what came before when it
    grows over MAXIMUM_BYTES.

    Args:
        path: The file.
        show: Takes the lines that a person should see, shortened.
        now: Seconds of a steady clock.
    """

    def __init__(
        self, path: Path, show: Callable[[str], None], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._show = show
        self._now = now
        self._partial = b""
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._window_start = now()
        self._window_lines = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._rotate()

    @property
    def path(self) -> Path:
        return self._path

    def last_lines(self) -> list[str]:
        """The end of the log, oldest first."""
        return list(self._last)

    def feed(self, data: bytes) -> None:
        """Take what the process wrote, wherever the reads happen to split it."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > MAXIMUM_LINE_BYTES:
            lines.append(self._partial)
            self._partial = b""
        for line in lines:
            self._take(line)

    def end_line(self) -> None:
        """The process has ended: what it wrote last is a line, whole or not."""
        if self._partial:
            self.feed(b"\n")

    def close(self) -> None:
        self.end_line()
        self._file.close()

    def _take(self, line: bytes) -> None:
        if self._size_bytes > MAXIMUM_BYTES:
            self._file.close()
            self._rotate()
        # A full disk costs lines of the log, never the process that writes them.
        with contextlib.suppress(OSError):
            self._size_bytes += self._file.write(line + b"\n")
        text = line.decode(errors="replace").rstrip()
        if text:
            self._last.append(text)
            self._show_notable(text)

    def _show_notable(self, text: str) -> None:
        """Show what is notable, but never let a process that despairs flood the terminal."""
        shown = notable(text)
        if shown is None:
            return
        now = self._now()
        if now - self._window_start > _SHOWN_SECONDS:
            self._window_start, self._window_lines = now, 0
        self._window_lines += 1
        if self._window_lines < _SHOWN_LINES:
            self._show(shown)
        elif self._window_lines == _SHOWN_LINES:
            self._show(f"and more, see {self._path}")

    def _rotate(self) -> None:
        if self._path.exists():
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        self._file = self._path.open("wb", buffering=0)
        self._size_bytes = 0


def notable(line: str) -> str | None:
    """The line in a person's words, if it says that it is a warning or worse."""
    event = _json_object(line)
    if event is not None:
        return _event_text(event) if event.get("level") in _SHOWN_LEVELS else None
    return _of_envoy(line) or _of_redis(line)


def _of_envoy(line: str) -> str | None:
    envoy = _ENVOY.match(line)
    if envoy is None or envoy["text"] in _EXPECTED or envoy["level"] not in _SHOWN_LEVELS:
        return None
    return f"{envoy['level']}: {envoy['text']}"


def _of_redis(line: str) -> str | None:
    redis = _REDIS.match(line)
    if redis is None or _EXPECTED_OF_REDIS.match(redis["text"]):
        return None
    return f"warning: {redis['text'].removeprefix('Warning: ')}"


def _json_object(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _event_text(event: dict[str, Any]) -> str:
    fields = " ".join(f"{name}={value}" for name, value in event.items() if name not in _LEAVE_OUT)
    cause = str(event.get("exception", "")).strip().rsplit("\n", 1)[-1]
    parts = (f"{event['level']}: {event.get('event', '')}", fields, cause and f"({cause})")
    return " ".join(part for part in parts if part)
