"""When an upstream wants to be asked again."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_SECONDS = 24 * 3600.0
_MOST_CHARACTERS = 64


def read_retry_after(
    milliseconds: str, seconds_or_date: str, *, now: datetime | None = None
) -> float | None:
    """Seconds to wait, from 0 to LONGEST_SECONDS; None where the upstream says nothing sensible.

    Args:
        milliseconds: The header `retry-after-ms`, which OpenAI sends too; it is the finer one.
        seconds_or_date: The header `retry-after`.
        now: The present, for tests.
    """
    wanted = _number(milliseconds)
    if wanted is not None:
        return _bounded(wanted / 1000)
    wanted = _number(seconds_or_date)
    if wanted is None:
        wanted = _seconds_until(seconds_or_date, now or datetime.now(UTC))
    return None if wanted is None else _bounded(wanted)


def bounded_seconds(seconds: float | None) -> float | None:
    """Seconds that were told elsewhere than in a header, from 0 to LONGEST_SECONDS."""
    return None if seconds is None else _bounded(seconds)


def _number(text: str) -> float | None:
    try:
        number = float(text[:_MOST_CHARACTERS])
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _seconds_until(date: str, now: datetime) -> float | None:
    if not date or len(date) > _MOST_CHARACTERS:
        return None
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - now).total_seconds()


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_SECONDS)
