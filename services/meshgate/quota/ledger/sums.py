"""Sums of lines, as counters count them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Select, and_, exists, func, literal, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.limits.limit import SubjectKind
from meshgate.quota.ledger.counters import MICROSECONDS, NOTHING_USED, Used, Wanted
from meshgate.quota.ledger.entries import ADJUSTMENT_KINDS
from meshgate.quota.ledger.label_table import Label, stored_numbers
from meshgate.quota.ledger.labels import Kind, storable
from meshgate.quota.ledger.schema import ENTRIES, LABELS, LINES

_KINDS = {
    SubjectKind.KEY.value: Kind.KEY,
    SubjectKind.USER.value: Kind.USER,
    SubjectKind.TEAM.value: Kind.TEAM,
    SubjectKind.ORGANIZATION.value: Kind.ORGANIZATION,
    SubjectKind.TAG.value: Kind.TAGS,
    SubjectKind.MODEL.value: Kind.MODEL,
    SubjectKind.TARGET.value: Kind.TARGET,
}
_MOST_LABELS_A_QUERY = 5_000
_TAGS = msgspec.json.Decoder(dict[str, str])
_AMOUNTS = ("input_tokens", "output_tokens", "cost_nanos")
_ALL = literal(0)
# Cheap to see of nearly every line that it is none: requests name their model.
_IS_ADJUSTMENT = and_(
    LINES.c.model == 0,
    LINES.c.target == 0,
    exists().where(
        ENTRIES.c.shard == LINES.c.shard,
        ENTRIES.c.sequence == LINES.c.sequence,
        ENTRIES.c.booked_time == LINES.c.booked_time,
        ENTRIES.c.kind.in_([int(kind) for kind in ADJUSTMENT_KINDS]),
    ),
)


class _Query(Struct, frozen=True):
    """One sum for many subjects: those of a kind, in one organization, from and up to when."""

    kind: Kind | None
    organization: str
    start: int
    end: int | None


async def sums_of(connection: AsyncConnection, wanted: Sequence[Wanted]) -> dict[Wanted, Used]:
    """What the lines of records say that counters should hold; adjustments are left out."""
    found = dict.fromkeys(wanted, NOTHING_USED)
    queries: dict[_Query, list[Wanted]] = defaultdict(list)
    for one in wanted:
        query = _query(one)
        if query is not None:
            queries[query].append(one)
    numbers = await stored_numbers(connection, set(_labels(wanted)))
    for query, some in queries.items():
        by_number = await _by_number(connection, query, some, numbers)
        for one in some:
            found[one] = sum((by_number[n] for n in _numbers(one, query, numbers)), NOTHING_USED)
        if query.kind is Kind.TAGS:
            found.update(await _tagged(connection, some, by_number))
    return found


def _query(one: Wanted) -> _Query | None:
    name = one.name
    kind = _KINDS.get(name.subject.partition("/")[0])
    if name.subject == SubjectKind.EVERYONE.value or kind is not None:
        organization = "" if name.is_wide else storable(name.partition)
        return _Query(kind, organization, one.start, one.end)
    return None


def _labels(wanted: Iterable[Wanted]) -> Iterator[Label]:
    for one in wanted:
        word, _, subject_id = one.name.subject.partition("/")
        kind = _KINDS.get(word)
        if kind is not None and kind is not Kind.TAGS:
            yield kind, storable(subject_id)
        if not one.name.is_wide:
            yield Kind.ORGANIZATION, storable(one.name.partition)


def _numbers(one: Wanted, query: _Query, numbers: Mapping[Label, int]) -> list[int]:
    """The numbers of the subject in its column; 0 stands for everyone."""
    if query.kind is None:
        return [0]
    if query.kind is Kind.TAGS:
        return []
    number = numbers.get((query.kind, storable(one.name.subject.partition("/")[2])))
    return [] if number is None else [number]


async def _by_number(
    connection: AsyncConnection,
    query: _Query,
    wanted: Sequence[Wanted],
    numbers: Mapping[Label, int],
) -> dict[int, Used]:
    """The sums by the number of the subject's label."""
    found: dict[int, Used] = defaultdict(Used)
    organization = 0
    if query.organization:
        organization = numbers.get((Kind.ORGANIZATION, query.organization), 0)
        if not organization:
            return found  # nobody has used anything
    some = sorted({number for one in wanted for number in _numbers(one, query, numbers)})
    if query.kind not in {None, Kind.TAGS} and not some:
        return found
    for begin in range(0, max(len(some), 1), _MOST_LABELS_A_QUERY):
        chosen = _select(query, organization, some[begin : begin + _MOST_LABELS_A_QUERY])
        for number, *sums in await connection.execute(chosen):
            found[number] += Used(*map(int, sums))
    return found


def _select(query: _Query, organization: int, numbers: Sequence[int]) -> Select[Any]:
    column = None if query.kind is None else LINES.c[query.kind.name.lower()]
    # Each attempt at a target counts as a request there.
    requests = func.count() if query.kind is Kind.TARGET else func.sum(LINES.c.requests)
    amounts = (requests, *(func.sum(LINES.c[name]) for name in _AMOUNTS))
    chosen = select(column if column is not None else _ALL, *amounts).where(
        LINES.c.booked_time >= query.start * MICROSECONDS, not_(_IS_ADJUSTMENT)
    )
    if query.end is not None:
        chosen = chosen.where(LINES.c.booked_time < query.end * MICROSECONDS)
    if organization:
        chosen = chosen.where(LINES.c.organization == organization)
    if column is None:
        return chosen.having(func.count() > 0)
    if query.kind is Kind.TAGS:
        chosen = chosen.where(column != 0)
    else:
        chosen = chosen.where(column.in_(numbers))
    return chosen.group_by(column)


async def _tagged(
    connection: AsyncConnection, wanted: Sequence[Wanted], by_number: Mapping[int, Used]
) -> dict[Wanted, Used]:
    """All tags of a request are one label: those are looked for that have the subject's among them."""
    texts = await _texts(connection, sorted(by_number))
    found = dict.fromkeys(wanted, NOTHING_USED)
    for number, text in texts.items():
        tags = {f"{SubjectKind.TAG.value}/{name}={tag}" for name, tag in _TAGS.decode(text).items()}
        for one in wanted:
            if one.name.subject in tags:
                found[one] += by_number[number]
    return found


async def _texts(connection: AsyncConnection, numbers: Sequence[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for begin in range(0, len(numbers), _MOST_LABELS_A_QUERY):
        some = numbers[begin : begin + _MOST_LABELS_A_QUERY]
        query = select(LABELS.c.label_id, LABELS.c.text).where(LABELS.c.label_id.in_(some))
        found.update({row.label_id: row.text for row in await connection.execute(query)})
    return found
