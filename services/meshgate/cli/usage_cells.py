"""Usage in cells: for people in a table, and for spreadsheets in CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from meshgate.cli.usage_api import Message

NANOS_PER_DOLLAR = 1_000_000_000
COUNTS = (
    "requests",
    "cache_hits",
    "input_tokens",
    "cached_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanos",
    "unpriced_charges",
    "estimated_charges",
    "saved_cost_nanos",
    "saved_tokens",
)
_SHOWN_TIMES = {"hour": "%Y-%m-%d %H:%M", "month": "%Y-%m"}
# What spreadsheets take for the beginning of a formula, or pass over to find one.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def dollars(nanos: int) -> str:
    """Every digit of an amount, and two decimals at least: 1.06376125."""
    whole, fraction = divmod(abs(nanos), NANOS_PER_DOLLAR)
    decimals = f"{fraction:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nanos < 0 else ''}{whole}.{decimals}"


def shown_dollars(nanos: int) -> str:
    """As `dollars`, for a column: thousands are parted."""
    whole, _, decimals = dollars(nanos).partition(".")
    sign = "-" if whole == "-0" else ""
    return f"{sign}{int(whole):,}.{decimals}"


def counts_of(sums: Message) -> dict[str, int]:
    """All sums as numbers."""
    return {name: int(sums.get(name, 0)) for name in COUNTS}


def moment(text: str, zone: ZoneInfo) -> datetime:
    """A moment of the API, by the clocks of a zone."""
    # Nine decimals may come, and six are read.
    head, dot, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{head}{dot}{fraction[:6]}+00:00").astimezone(zone)


def shown_time(text: str, bucket: str, zone: ZoneInfo) -> str:
    """When a stretch of time begins."""
    return moment(text, zone).strftime(_SHOWN_TIMES.get(bucket, "%Y-%m-%d"))


def right(columns: Iterable[Sequence[str]]) -> list[list[str]]:
    """Columns of numbers, set to the right."""
    found = []
    for column in columns:
        width = max(map(len, column))
        found.append([cell.rjust(width) for cell in column])
    return found


def csv_line(cells: Iterable[Any]) -> str:
    """A line of CSV as RFC 4180 has it. No text is taken for a formula."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([_safe(cell) for cell in cells])
    return line.getvalue()


def _safe(cell: Any) -> Any:
    if isinstance(cell, str) and cell.startswith(_FORMULAS):
        return f"'{cell}"
    return cell
