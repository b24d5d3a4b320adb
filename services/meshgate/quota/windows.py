"""When windows begin and end.

All moments are whole milliseconds since 1970, by the clock of the store.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from meshgate.limits.limit import Limit, WindowMode, WindowUnit

PARTS = 10
"""How many buckets a rolling window is counted in."""

_SECOND = 1_000
_LENGTHS = {
    WindowUnit.SECOND: _SECOND,
    WindowUnit.MINUTE: 60 * _SECOND,
    WindowUnit.HOUR: 3_600 * _SECOND,
    WindowUnit.DAY: 86_400 * _SECOND,
    WindowUnit.WEEK: 7 * 86_400 * _SECOND,
    WindowUnit.MONTH: 30 * 86_400 * _SECOND,
}
_HALF_HOUR = 1_800 * _SECOND
# Calendar windows are looked for in this span only: beyond it Python has no dates.
EARLIEST, LATEST = 0, 250_000_000_000 * _SECOND
_DECEMBER = 12


class Bounds(Struct, frozen=True):
    """One calendar window: from its beginning on, up to but without its end.

    Attributes:
        start: When it begins.
        end: When the next one begins.
        previous: When the one before it began.
    """

    start: int
    end: int
    previous: int


def bucket_width(unit: WindowUnit) -> int:
    """The width of one bucket of a rolling window."""
    return _LENGTHS[unit] // PARTS


def identity(limit: Limit) -> str:
    """What a limit counts and over which windows.

    The amount is no part of it: a limit that is changed goes on with what was counted, and limits
    that differ in nothing else share a counter.
    """
    if limit.unit is None:
        return limit.kind.value
    if limit.mode is None:
        return limit.name
    if limit.mode is WindowMode.ROLLING:
        return f"{limit.name}/rolling"
    return f"{limit.name}/calendar/{limit.time_zone}"


def calendar_bounds(unit: WindowUnit, time_zone: str, moment: int) -> Bounds:
    """The calendar window in which a moment lies.

    Days begin at midnight in their zone, or when the clock passes over it, so that some have 23 or
    25 hours. An hour that the clock goes through twice is two hours.
    """
    zone = ZoneInfo(time_zone)
    start = _start(unit, zone, min(max(moment, EARLIEST), LATEST))
    return Bounds(start, _end(unit, zone, start), _start(unit, zone, max(start - 1, EARLIEST)))


def _start(unit: WindowUnit, zone: ZoneInfo, moment: int) -> int:
    local = datetime.fromtimestamp(moment // _SECOND, zone)
    begun = local.replace(microsecond=0, second=0)
    if unit is WindowUnit.SECOND:
        return moment // _SECOND * _SECOND
    if unit is WindowUnit.HOUR:
        begun = begun.replace(minute=0)
    elif unit is not WindowUnit.MINUTE:
        begun = _first_midnight(unit, local)
    # In a gap of the clock this is the moment in which it jumps.
    return int(begun.timestamp()) * _SECOND


def _end(unit: WindowUnit, zone: ZoneInfo, start: int) -> int:
    if unit is WindowUnit.SECOND:
        return start + _SECOND
    if unit in {WindowUnit.MINUTE, WindowUnit.HOUR}:
        return _next_turn(unit, zone, start)
    midnight = _following(unit, datetime.fromtimestamp(start // _SECOND, zone))
    return int(midnight.timestamp()) * _SECOND


def _next_turn(unit: WindowUnit, zone: ZoneInfo, start: int) -> int:
    probe = start + _LENGTHS[unit]
    while (begun := _start(unit, zone, probe)) <= start:
        # The clock was turned back by less than an hour: this one is longer.
        probe += min(_HALF_HOUR, _LENGTHS[unit])
    return begun


def _first_midnight(unit: WindowUnit, local: datetime) -> datetime:
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if unit is WindowUnit.WEEK:
        return midnight - timedelta(days=midnight.weekday())
    if unit is WindowUnit.MONTH:
        return midnight.replace(day=1)
    return midnight


def _following(unit: WindowUnit, begun: datetime) -> datetime:
    # Where midnight was passed over, the first moment of a day is not its midnight.
    midnight = begun.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if unit is WindowUnit.DAY:
        return midnight + timedelta(days=1)
    if unit is WindowUnit.WEEK:
        return midnight + timedelta(days=7 - midnight.weekday())
    if midnight.month == _DECEMBER:
        return midnight.replace(year=midnight.year + 1, month=1, day=1)
    return midnight.replace(month=midnight.month + 1, day=1)
