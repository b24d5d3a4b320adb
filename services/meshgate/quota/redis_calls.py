"""What the scripts are asked and what they answer, as msgpack; see scripts/call.lua."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder
from msgspec.structs import replace

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import Enforcement, Subject, WindowUnit
from meshgate.quota.grants import (
    Alert,
    Extension,
    Grant,
    GrantOutcome,
    GrantSettlement,
    Hold,
    Lease,
    LimitReached,
    LimitState,
    NotGranted,
    Release,
)
from meshgate.quota.rules import Rule, limit_of, rules_of
from meshgate.quota.windows import Bounds, calendar_bounds

_NO_AMOUNTS = (0, 0, 0, 0, 0)
_MOST_WINDOWS = 5_000

Rules = list[Any]
encode = Encoder().encode


class Reply(Struct, array_like=True):
    """What every script answers.

    Attributes:
        status: 0 where it was done, 1 where bounds of calendar windows are not those of now.
        now: The moment by the clock of the store, in milliseconds.
        results: One for each item; or the identities whose windows are missing.
        alerts: Prefix, subject, identity, amount, total.
        abandoned: How many grants' ttl was found to have passed.
        more: 1 where there may be more of them.
    """

    status: int
    now: int
    results: list[Any]
    alerts: list[tuple[str, str, str, int, int]]
    abandoned: int
    more: int


decode = Decoder(Reply).decode


class Windows:
    """The calendar windows of one moment."""

    def __init__(self) -> None:
        self._bounds: dict[tuple[WindowUnit, str], Bounds] = {}

    def at(self, window: tuple[WindowUnit, str], moment: int) -> Bounds:
        """The window of this unit and zone in which the moment lies."""
        bounds = self._bounds.get(window)
        if bounds is None or not bounds.start <= moment < bounds.end:
            if len(self._bounds) >= _MOST_WINDOWS:
                self._bounds.clear()
            bounds = self._bounds[window] = calendar_bounds(*window, moment)
        return bounds


def prefix_of(partition: str) -> str:
    """What a name in a partition begins with, so that no two can be mistaken for each other."""
    return f"{len(partition.encode())}:{partition}:"


def hold_item(item: Hold, windows: Windows, now: int) -> dict[str, Any]:
    """A hold, under the limits of its subjects as they are at a moment."""
    return {
        "kind": "hold",
        "id": item.grant_id,
        "prefix": prefix_of(item.partition),
        "subjects": _ruled(item.subjects, windows, now),
        "least": _vector(item.amounts),
        "unit": _NO_AMOUNTS,
        "count": 0,
        "ttl": _milliseconds(item.ttl_seconds),
    }


def lease_item(item: Lease, windows: Windows, now: int) -> dict[str, Any]:
    """A lease; as `hold_item`."""
    return {
        "kind": "lease",
        "id": item.grant_id,
        "prefix": prefix_of(item.partition),
        "subjects": _ruled(item.subjects, windows, now),
        "least": _vector(item.least),
        "unit": _vector(item.unit),
        "count": item.unit_count,
        "ttl": _milliseconds(item.ttl_seconds),
    }


def extend_item(item: Extension) -> dict[str, Any]:
    """An extension: the store knows the rest."""
    return {
        "id": item.grant_id,
        "prefix": prefix_of(item.partition),
        "total": _vector(item.total),
        "ttl": _milliseconds(item.ttl_seconds),
    }


def release_item(item: Release) -> dict[str, Any]:
    """A release: the store knows the rest."""
    return {
        "id": item.grant_id,
        "prefix": prefix_of(item.partition),
        "used": _vector(item.used),
    }


def settle_item(item: GrantSettlement, records: list[bytes]) -> dict[str, Any]:
    """Without a description of the grant: nearly always the store knows it.

    Args:
        item: The settlements.
        records: Takes the usage records.
    """
    settlements = []
    for settlement in item.settlements:
        number = 0
        if settlement.records:
            records.append(settlement.records)
            number = len(records)
        settlements.append(
            (settlement.sequence, _vector(settlement.held), _vector(settlement.spent), number)
        )
    message: dict[str, Any] = {
        "id": item.grant_id,
        "prefix": prefix_of(item.partition),
        "subjects": None if any(rules_of(subject) for subject in item.subjects) else (),
        "settlements": settlements,
    }
    if item.grant_time is not None:
        message["granted_at"] = max(item.grant_time, 0)
    return message


def described_item(
    item: GrantSettlement, records: list[bytes], windows: Windows, past: Windows, now: int
) -> dict[str, Any]:
    """With all that is known of a grant that the store does not know.

    Args:
        item: The settlements.
        records: Takes the usage records.
        windows: Those of now.
        past: Those of earlier moments.
        now: The moment.
    """
    message = settle_item(item, records)
    granted_at = now if item.grant_time is None else min(max(item.grant_time, 0), now)
    message["granted_at"] = granted_at
    message["subjects"] = [
        (name, [(*rule[:-1], [_bucket(of, past, granted_at)]) for rule, of in rules])
        for name, rules in _named_rules(item.subjects, windows, now)
    ]
    return message


def outcome(result: list[Any]) -> GrantOutcome:
    """What became of a hold, a lease or an extension."""
    match result:
        case ["granted", amounts, granted_at, lease_ms, states, was_there]:
            return Grant(
                Amounts(*amounts),
                granted_at,
                lease_ms / 1_000,
                tuple(_state(state) for state in states),
                bool(was_there),
            )
        case ["refused", name, identity, amount, strict, remaining, wait_ms, need]:
            limit = limit_of(identity, amount, strict)
            return LimitReached(name, limit, remaining, need, wait_ms / 1_000)
        case ["released"]:
            return NotGranted.RELEASED
        case ["unknown"]:
            return NotGranted.UNKNOWN
        case ["behind"]:
            return NotGranted.BEHIND
        case ["lost"]:
            return NotGranted.LOST
    raise ValueError(f"the store answered {result[:1]}")


def alert(found: tuple[str, str, str, int, int]) -> Alert:
    """A soft limit that was passed."""
    prefix, name, identity, amount, total = found
    partition = prefix.partition(":")[2].removesuffix(":")
    limit = replace(limit_of(identity, amount, 0), enforcement=Enforcement.SOFT)
    return Alert(partition, name, limit, total)


def _state(state: list[Any]) -> LimitState:
    name, identity, amount, strict, remaining, reset_ms = state
    reset = None if reset_ms < 0 else reset_ms / 1_000
    return LimitState(name, limit_of(identity, amount, strict), remaining, reset)


def _vector(amounts: Amounts) -> tuple[int, int, int, int, int]:
    return (
        amounts.requests,
        amounts.input_tokens,
        amounts.output_tokens,
        amounts.cost_nanos,
        amounts.concurrency,
    )


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1_000))


def _ruled(subjects: Iterable[Subject], windows: Windows, now: int) -> list[tuple[str, Rules]]:
    return [
        (name, [rule for rule, _ in rules]) for name, rules in _named_rules(subjects, windows, now)
    ]


def _named_rules(
    subjects: Iterable[Subject], windows: Windows, now: int
) -> list[tuple[str, list[tuple[tuple[Any, ...], Rule]]]]:
    """The rules of each subject that has any."""
    return [
        (subject.name, [(_encoded(rule, windows, now), rule) for rule in rules])
        for subject in subjects
        if (rules := rules_of(subject))
    ]


def _encoded(rule: Rule, windows: Windows, now: int) -> tuple[Any, ...]:
    start, end, previous = rule.width, 0, 0
    if rule.window is not None:
        bounds = windows.at(rule.window, now)
        start, end, previous = bounds.start, bounds.end, bounds.previous
    return (
        rule.identity,
        rule.kind,
        rule.mode,
        start,
        end,
        previous,
        rule.hard,
        rule.strict,
        rule.softs,
        (),
    )


def _bucket(rule: Rule, past: Windows, granted_at: int) -> int:
    """Where a grant of that moment was booked; the script computes it for rolling windows."""
    return 0 if rule.window is None else past.at(rule.window, granted_at).start
