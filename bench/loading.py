"""Runs the load generator, and reads what it says."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MAX_REQUESTS = 3_000_000
GRACE_SECONDS = 30.0
PROMPT = "Explain in two sentences why a gateway in front of many models needs quotas and a cache."
Json = dict[str, Any]


class LoadError(Exception):
    """The load generator could not do its work, or an answer was wrong."""


@dataclass(frozen=True)
class Load:
    """One run of closed-loop load; times in microseconds."""

    requests: int
    failed: int
    seconds: float
    events: int
    p50_us: float
    p99_us: float

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds


@dataclass(frozen=True)
class Generator:
    """The compiled load generator."""

    program: Path

    def run(
        self, url: str, body: Json, connections: int, seconds: float, headers: Mapping[str, str]
    ) -> Load:
        """Sends `body` over and over, on each connection one request at a time.

        Raises:
            LoadError: Nothing was measured.
        """
        address = urlsplit(url)
        target = [address.hostname or "", str(address.port), address.path]
        command = [
            str(self.program),
            *target,
            json.dumps(body, separators=(",", ":")),
            *(str(connections), str(seconds), str(MAX_REQUESTS)),
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        limit = seconds + GRACE_SECONDS
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
        if done.returncode:
            raise LoadError(f"the load generator failed on {url}: {done.stderr.strip()}")

        return read(json.loads(done.stdout))


def read(said: Json) -> Load:
    """Reads the line that the load generator prints.

    Raises:
        LoadError: Not one answer came.
    """
    if not said["requests"]:
        raise LoadError(f"no answer at all, {said['failed']} failures")

    return Load(
        requests=said["requests"],
        failed=said["failed"],
        seconds=said["seconds"],
        events=said["events"],
        p50_us=said["total"]["p50"],
        p99_us=said["total"]["p99"],
    )


def plain() -> Json:
    """A chat request of about 200 bytes."""
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": PROMPT}]}


def streamed(chunks: int) -> Json:
    """The same, answered with so many content chunks: the mock reads the number in the prompt."""
    message = {"role": "user", "content": f"{PROMPT} CHUNKS={chunks} "}
    return {"model": "gpt-4o-mini", "stream": True, "messages": [message]}
