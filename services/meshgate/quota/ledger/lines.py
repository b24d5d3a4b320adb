"""What reports count of an entry: one line for each charge, or one where there was none.

Lines follow from the content alone, so that whoever verifies the ledger derives the same again.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from meshgate.quota.ledger.labels import LONGEST_LABEL_BYTES, storable
from meshgate.v1 import usage_record_pb2 as pb

_EVERYONE = "everyone"
_WIDE = ("model/", "target/")
# Not all of them: these say who it was, and a line has a place for each.
_NAMED = frozenset({"team", "user", "key"})
# One of a later version is none of ours.
_OUTCOMES = frozenset(pb.RequestOutcome.values())
_SIGNS = {
    pb.ADJUSTMENT_KIND_ABANDONED: 1,
    pb.ADJUSTMENT_KIND_RETURNED: -1,
}


class Line(Struct, frozen=True):
    """A line; see the table. Names are empty where there is none."""

    organization: str = ""
    team: str = ""
    user: str = ""
    key: str = ""
    model: str = ""
    target: str = ""
    tags: str = ""
    outcome: int = 0
    requests: int = 0
    cache_hits: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanos: int = 0
    unpriced_charges: int = 0
    estimated_charges: int = 0
    saved_cost_nanos: int = 0
    saved_tokens: int = 0


def lines_of_record(record: pb.UsageRecord) -> tuple[Line, ...]:
    """The lines of a request; what it was as a whole stands on the first."""
    request = Line(
        organization=storable(record.organization_id),
        team=storable(record.team_id),
        user=storable(record.user_id),
        key=storable(record.key_id),
        model=storable(record.model),
        tags=_tags(record.tags),
        outcome=record.outcome if record.outcome in _OUTCOMES else 0,
    )
    charges = [_charged(request, charge) for charge in record.charges] or [request]
    return (_first(charges[0], record), *charges[1:])


def lines_of_adjustment(adjustment: pb.Adjustment) -> tuple[Line, ...]:
    """The line of an adjustment; none where the same counts in the books of an organization too."""
    sign = _SIGNS.get(adjustment.kind)
    partition = adjustment.partition
    if sign is None or not partition or partition == _EVERYONE or partition.startswith(_WIDE):
        return ()
    amounts = adjustment.amounts
    named = _named(adjustment.subjects)
    line = Line(
        organization=storable(partition),
        requests=sign * amounts.requests,
        input_tokens=sign * amounts.input_tokens,
        output_tokens=sign * amounts.output_tokens,
        cost_nanos=sign * amounts.cost_nanos,
        estimated_charges=1 if sign > 0 else 0,
        **named,
    )
    return (line,)


def _charged(request: Line, charge: pb.Charge) -> Line:
    usage = charge.usage
    return replace(
        request,
        target=storable(f"{charge.provider}/{charge.model}"),
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_creation_input_tokens=usage.cache_creation_input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_nanos=charge.cost_nanos,
        unpriced_charges=0 if charge.HasField("cost_nanos") else 1,
        estimated_charges=1 if charge.estimated else 0,
    )


def _first(line: Line, record: pb.UsageRecord) -> Line:
    saved = record.saved
    return replace(
        line,
        requests=1,
        cache_hits=1 if record.cache == pb.CACHE_OUTCOME_HIT else 0,
        saved_cost_nanos=saved.cost_nanos,
        saved_tokens=saved.usage.input_tokens + saved.usage.output_tokens,
    )


def _named(subjects: Iterable[str]) -> dict[str, Any]:
    """Who it was, as far as somebody had a limit. A key's id may hold a slash itself."""
    parted = (subject.partition("/") for subject in subjects)
    return {kind: storable(name) for kind, _, name in parted if kind in _NAMED}


def _tags(tags: Mapping[str, str]) -> str:
    """All tags as JSON; as many of them, by name, as a label has room for."""
    if not tags:
        return ""
    kept: dict[str, str] = {}
    size = len("{}")
    for name in sorted(tags):
        tag = {storable(name): storable(tags[name])}
        size += len(msgspec.json.encode(tag))
        if size > LONGEST_LABEL_BYTES:
            break
        kept |= tag
    return msgspec.json.encode(kept).decode()
