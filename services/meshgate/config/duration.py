"""Durations as people write them: `300ms`, `2s`, `5m`, `1h`, `30d`."""

import re

PATTERN = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"

_WRITTEN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_of(text: object) -> float:
    """The duration in seconds.

    Raises:
        ValueError: It is not a number followed by its unit.
    """
    match = _WRITTEN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("must be a number and its unit, for instance 300ms, 2s, 5m, 1h or 30d")
    number, unit = match.groups()
    return float(number) * _SECONDS[unit]


def written(seconds: float) -> str:
    """The duration with the largest unit that leaves no fraction."""
    for unit in ("d", "h", "m", "s"):
        number = seconds / _SECONDS[unit]
        if number >= 1 and number.is_integer():
            return f"{int(number)}{unit}"
    return f"{seconds * 1000:.12g}ms"
