"""Usage as companies full of agents make it, for the bench of reports and their tests.

From a seed, any number of entries of the ledger, in the order of their time.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from meshgate.quota.ledger.entries import Entry, EntryKind
from meshgate.quota.ledger.lines import lines_of_adjustment, lines_of_record
from meshgate.v1 import usage_record_pb2 as pb

SHARDS = 64
HOUR = 3_600_000_000
"""In microseconds, as all times here."""

_REGIONS = ("eu", "us", "ap")
_PROVIDERS = ("openai", "anthropic")
# By day more is asked than by night.
_BUSY = (1, 1, 1, 1, 1, 2, 3, 5, 8, 9, 9, 8, 8, 9, 9, 9, 8, 6, 4, 3, 3, 2, 2, 1)
_HITS, _BLOCKED, _ADJUSTED, _RETRIED = 0.08, 0.09, 0.095, 0.15
_ESTIMATED = 0.03
UNPRICED_MODEL = "model-7"


@dataclass(frozen=True, slots=True)
class Company:
    """How many there are of what in each organization, and when they are at work.

    Attributes:
        start: The first moment.
        days: For how long.
        models: Of all organizations together.
    """

    start: int
    days: int = 30
    organizations: int = 4
    teams: int = 8
    users: int = 40
    keys: int = 60
    models: int = 8


@dataclass(frozen=True, slots=True)
class _Key:
    """A key: whose it is, and what it is used for."""

    organization: str
    team: str
    user: str
    name: str
    tags: dict[str, str]
    models: tuple[str, ...] = field(default=())


def entries(company: Company, count: int, seed: int = 1) -> Iterator[Entry]:
    """What the ledger is told of so many requests."""
    chance = random.Random(seed)  # noqa: S311 - nothing of it is secret
    keys = [
        key for number in range(company.organizations) for key in _keys(company, number, chance)
    ]
    chance.shuffle(keys)
    # A few keys make most of the requests.
    weights = list(accumulate(1 / (place + 1) for place in range(len(keys))))
    for number, moment in enumerate(_moments(company, count, chance)):
        [key] = chance.choices(keys, cum_weights=weights)
        yield _entry(f"{seed}-{number}", key, moment, chance)


def _moments(company: Company, count: int, chance: random.Random) -> list[int]:
    hours = [day * 24 + hour for day in range(company.days) for hour in range(24)]
    weights = list(accumulate(_BUSY * company.days))
    chosen = chance.choices(hours, cum_weights=weights, k=count)
    return sorted(company.start + hour * HOUR + chance.randrange(HOUR) for hour in chosen)


def _keys(company: Company, organization: int, chance: random.Random) -> Iterator[_Key]:
    for number in range(company.keys):
        team = chance.randrange(company.teams + 1)
        user = chance.randrange(company.users + 1)
        tags = {"region": chance.choice(_REGIONS), "tier": str(number % 3)}
        if number % 4 == 0:
            del tags["tier"]
        models = chance.choices(range(company.models), k=chance.randrange(1, 4))
        yield _Key(
            f"org_{organization}",
            f"team_{organization}_{team}" if team else "",
            f"user_{organization}_{user}" if user else "",
            f"key_{organization}_{number}",
            tags if number % 9 else {},
            tuple(f"model-{model}" for model in models),
        )


def _entry(name: str, key: _Key, moment: int, chance: random.Random) -> Entry:
    kind = chance.random()
    shard = chance.randrange(SHARDS)
    if _BLOCKED < kind < _ADJUSTED:
        return _adjusted(f"abandoned/{shard}/{name}", shard, key, moment)
    record = pb.UsageRecord(
        hold_id=f"hold-{name}",
        request_id=f"req-{name}",
        principal_id=key.name,
        organization_id=key.organization,
        team_id=key.team,
        user_id=key.user,
        key_id=key.name,
        tags=key.tags,
        model=chance.choice(key.models),
        dialect="openai_chat",
        outcome=pb.REQUEST_OUTCOME_ANSWERED,
    )
    record.start_time.FromMicroseconds(moment)
    record.end_time.FromMicroseconds(moment + chance.randrange(1, 30_000_000))
    if kind < _HITS:
        record.cache = pb.CACHE_OUTCOME_HIT
        _charge(record.saved, record.model, 0, chance)
    elif kind < _BLOCKED:
        record.outcome = pb.REQUEST_OUTCOME_BLOCKED
    else:
        for attempt in range(2 if kind < _RETRIED else 1):
            _charge(record.charges.add(), record.model, attempt, chance)
    content = record.SerializeToString(deterministic=True)
    lines = lines_of_record(record)
    return Entry(shard, record.hold_id, EntryKind.SETTLED, moment, content, lines)


def _charge(charge: pb.Charge, model: str, attempt: int, chance: random.Random) -> None:
    read, written = chance.randrange(8_000), chance.randrange(1_000)
    charge.provider = _PROVIDERS[(len(model) + int(model[-1]) + attempt) % 2]
    charge.model = model
    charge.usage.input_tokens = read
    charge.usage.cached_input_tokens = read // 3
    charge.usage.cache_creation_input_tokens = read // 9
    charge.usage.output_tokens = written
    charge.usage.reasoning_tokens = written // 2
    charge.estimated = chance.random() < _ESTIMATED
    if model != UNPRICED_MODEL:
        charge.cost_nanos = read * 3_000 + written * 15_000
        charge.price_version = "table/2026-11-01"


def _adjusted(entry_id: str, shard: int, key: _Key, moment: int) -> Entry:
    """What was set aside by somebody who is gone."""
    adjustment = pb.Adjustment(
        kind=pb.ADJUSTMENT_KIND_ABANDONED,
        partition=key.organization,
        subjects=[f"key/{key.name}", f"organization/{key.organization}"],
    )
    adjustment.amounts.requests = 1
    adjustment.amounts.input_tokens = 900
    adjustment.amounts.output_tokens = 400
    adjustment.amounts.cost_nanos = 8_700_000
    content = adjustment.SerializeToString(deterministic=True)
    lines = lines_of_adjustment(adjustment)
    return Entry(shard, entry_id, EntryKind.ABANDONED, moment, content, lines)
