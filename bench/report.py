"""Writes the figures down: markdown tables, the marks, JSON."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import BESIDE_US, CONNECTIONS, Figures, Spread, ratios, spread
from bench.gateways import REFERENCE


@dataclass
class Result:
    """What is known of one gateway.

    Args:
        about: What it is.
        rounds: Its figures, round by round.
        faults: Why the run has failed, if it has.
    """

    about: str
    rounds: list[Figures] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


Results = Mapping[str, Result]

REQUEST_US = f"cpu_us_{CONNECTIONS[-1]}"


@dataclass(frozen=True)
class Mark:
    """A ratio to plain Envoy that must not be passed."""

    gateway: str
    figure: str
    limit: float
    words: str


MARKS = (
    Mark("compact", "cpu_us_64", 6.0, "CPU of a request"),
    Mark("mesh", "cpu_us_64", 10.0, "CPU of a request"),
    Mark("compact", "chunk_us", 4.0, "CPU of a streamed chunk"),
)


@dataclass(frozen=True)
class Column:
    """One column of the table."""

    title: str
    figure: str
    digits: int = 0


COST = (
    Column("CPU µs/request, c=64", "cpu_us_64"),
    Column("of it Envoy", "cpu_envoy_us"),
    Column("of it Python", "cpu_python_us"),
    Column("of it Redis", "cpu_other_us"),
    Column("CPU µs/chunk", "chunk_us", 1),
    Column("CPU µs/stream (base)", "stream_us"),
    Column("quota calls/1000 requests", "quota_calls", 1),
)
SPEED = (
    *(Column(f"requests/s, c={c}", f"rps_{c}") for c in CONNECTIONS),
    *(
        Column(f"added ms, c={c}, {p}", f"added_{p}_ms_{c}", 2)
        for c in CONNECTIONS
        for p in ("p50", "p99")
    ),
)
RATIOS = (
    Column("request ÷ Envoy", "cpu_us_64", 2),
    Column("chunk ÷ Envoy", "chunk_us", 2),
)


def tables(results: Results) -> str:
    """What the gateways cost, and how fast they are; a gateway to a row."""
    cost = {
        name: [cell(ratio(results, name, c.figure), c.digits) for c in RATIOS]
        + _cells(result, COST)
        for name, result in results.items()
    }
    speed = {name: _cells(result, SPEED) for name, result in results.items()}

    return f"{_table(results, RATIOS + COST, cost)}\n\n{_table(results, SPEED, speed)}"


def _table(results: Results, columns: Sequence[Column], rows: Mapping[str, Sequence[str]]) -> str:
    titles = ["gateway", *(column.title for column in columns)]
    lines = [titles, ["---"] * len(titles)]
    lines += [[f"**{n}** ({results[n].about})", *cells] for n, cells in rows.items()]

    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(result: Result, columns: Sequence[Column]) -> list[str]:
    return [cell(_values(result, column.figure), column.digits) for column in columns]


def _values(result: Result, figure: str) -> list[float]:
    return [one[figure] for one in result.rounds]


def ratio(results: Results, name: str, figure: str) -> list[float]:
    """A figure as a multiple of plain Envoy's, for the rounds that both have finished."""
    rounds = results[name].rounds
    if figure == REQUEST_US and rounds and all(BESIDE_US in one for one in rounds):
        return [one[figure] / one[BESIDE_US] for one in rounds]
    if REFERENCE not in results:
        return []
    both = list(zip(results[name].rounds, results[REFERENCE].rounds, strict=False))
    return ratios([ours for ours, _ in both], [theirs for _, theirs in both], figure)


def cell(values: Sequence[float], digits: int) -> str:
    """Median (lowest to highest), or a dash."""
    if not values:
        return "-"
    middle, *ends = (f"{value:.{digits}f}" for value in _parts(spread(values)))
    return middle if set(ends) == {middle} else f"{middle} ({' to '.join(ends)})"


def _parts(values: Spread) -> tuple[float, float, float]:
    return values.middle, values.low, values.high


def marks(results: Results) -> str:
    """Pass or miss, a line for each mark."""
    return "\n".join(_mark_line(results, mark) for mark in MARKS)


def _mark_line(results: Results, mark: Mark) -> str:
    line = f"{mark.gateway}, {mark.words}: at most {mark.limit:g} times plain Envoy's"
    values = ratio(results, mark.gateway, mark.figure) if mark.gateway in results else []
    if not values:
        return f"- not measured: {line}"
    verdict = "pass" if spread(values).middle <= mark.limit else "MISS"
    return f"- {verdict}: {line}; measured {cell(values, 2)}"


def faults(results: Results) -> list[str]:
    """Everything that makes the run a failure, a sentence each."""
    return [f"{name}: {fault}" for name, result in results.items() for fault in result.faults]


def machine() -> str:
    """The machine, in one line."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{_cpu_model()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; load average before: {load}"
    )


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def document(results: Results, machine_line: str) -> dict[str, Any]:
    """Everything, for JSON."""
    return {
        "machine": machine_line,
        "gateways": {
            name: {"about": result.about, "rounds": result.rounds, "faults": result.faults}
            for name, result in results.items()
        },
    }
