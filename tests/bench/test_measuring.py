import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bench.figures import CONNECTIONS
from bench.gateways import Running
from bench.loading import Load, LoadError
from bench.measuring import Round

GATEWAY = Running(os.getpid(), "http://127.0.0.1:1/v1", {})
DIRECT = {c: Load(100, 0, 1.0, 0, p50_us=100.0, p99_us=200.0) for c in CONNECTIONS}


@dataclass
class FakeBed:
    """Answers every load with 100 requests, without making one."""

    failed: int = 0
    lost_events: int = 0
    calls_for_each: int = 1
    answers: int = 0
    loads: list[tuple[int, bool]] = field(default_factory=list)

    def load(
        self,
        url: str,
        body: dict[str, Any],
        connections: int,
        seconds: float,
        headers: Mapping[str, str],
    ) -> Load:
        streamed = bool(body.get("stream"))
        chunks = int(body["messages"][0]["content"].split("CHUNKS=")[1]) if streamed else 0
        self.loads.append((connections, streamed))
        self.answers += 100 * self.calls_for_each
        return Load(100 - self.failed, self.failed, 1.0, 100 * chunks - self.lost_events, 350, 700)

    def answered(self) -> int:
        return self.answers


def measured(bed: Any) -> tuple[dict[str, float], list[str]]:
    faults: list[str] = []
    return Round(bed, GATEWAY, faults).figures(DIRECT), faults


def test_a_round_loads_plain_and_streamed() -> None:
    bed = FakeBed()

    figures, faults = measured(bed)

    assert bed.loads == [(1, False), (16, False), (64, False), (32, True), (32, True)]
    assert figures["rps_64"] == 100
    assert figures["added_p50_ms_1"] == pytest.approx(0.25)
    assert figures["added_p99_ms_16"] == pytest.approx(0.5)
    assert faults == []


def test_plain_envoy_is_loaded_right_before_and_after_the_load_that_counts() -> None:
    bed = FakeBed()

    figures = Round(bed, GATEWAY, [], beside=GATEWAY).figures(DIRECT)

    assert [connections for connections, _ in bed.loads] == [1, 16, 64, 64, 64, 32, 32]
    assert "beside_us" in figures


@pytest.mark.parametrize(
    ("bed", "fault"),
    [
        (FakeBed(failed=3), "plain c=1: 3 failures beside 97 answers"),
        (FakeBed(calls_for_each=0), "plain c=1: 0.00 upstream calls for a request"),
        (FakeBed(calls_for_each=2), "plain c=1: 2.00 upstream calls for a request"),
        (FakeBed(lost_events=50), "streams of 4 chunks: only 3.5 events in an answer"),
    ],
)
def test_what_is_not_as_it_must_be_is_a_fault(bed: FakeBed, fault: str) -> None:
    _, faults = measured(bed)

    assert faults[0] == fault


def test_a_load_that_breaks_down_says_which() -> None:
    class BrokenBed(FakeBed):
        def load(self, *_: Any) -> Load:
            raise LoadError("no answer at all")

    with pytest.raises(LoadError, match=r"warm-up: no answer at all"):
        Round(BrokenBed(), GATEWAY, []).warm_up()  # type: ignore[arg-type]


@pytest.mark.skipif(shutil.which("cc") is None, reason="the benchmark needs a C compiler")
def test_plain_envoy_is_measured_in_one_go() -> None:
    command = [sys.executable, "-m", "bench", "--only", "envoy", "--rounds", "1", "--scale", "0.05"]

    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "| **envoy** (plain proxy, 2 workers) | 1.00 |" in done.stdout
