"""Sums of lines, as counters count them.

Each counter counts from a moment of its own. All those of a kind in an organization are summed up in one
pass over its lines, whatever their moments are: it adds up what lies between one moment and the next.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    case,
    exists,
    func,
    literal,
    not_,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.limits.limit import SubjectKind
from meshgate.quota.ledger.counters import MICROSECONDS, NOTHING_USED, Used, Wanted
from meshgate.quota.ledger.entries import ADJUSTMENT_KINDS
from meshgate.quota.ledger.label_table import Label, stored_numbers
from meshgate.quota.ledger.labels import Kind, storable
from meshgate.quota.ledger.schema import ENTRIES, LABELS, LINES, NO_LABEL

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
_ROWS_AT_ONCE = 5_000
_TAGS = msgspec.json.Decoder(dict[str, str])
_AMOUNTS = ("input_tokens", "output_tokens", "cost_nanos")
_EVERYONE = 0
_IS_OF_AN_ADJUSTMENT = (
    ENTRIES.c.shard == LINES.c.shard,
    ENTRIES.c.sequence == LINES.c.sequence,
    ENTRIES.c.booked_time == LINES.c.booked_time,
    ENTRIES.c.kind.in_([int(kind) for kind in ADJUSTMENT_KINDS]),
)


class _Group(Struct, frozen=True):
    """What one pass sums up.

    Attributes:
        kind: For whom; None for everyone.
        organization: Whose lines; empty for those of all.
    """

    kind: Kind | None
    organization: str


class _Lines(Struct, frozen=True):
    """Those that one pass is over.

    Attributes:
        kind: As of the group.
        organization: Its number; NO_LABEL for all.
        moments: In microseconds, in order: when something wanted begins or ends. There is one.
        is_ended: Whether nothing counts from the last moment on.
    """

    kind: Kind | None
    organization: int
    moments: Sequence[int]
    is_ended: bool

    @property
    def column(self) -> ColumnElement[int]:
        """Where the number stands of whom a line counts for."""
        if self.kind is None:
            return literal(_EVERYONE, BigInteger)
        return LINES.c[self.kind.name.lower()]

    @property
    def conditions(self) -> Sequence[ColumnElement[bool]]:
        """Which they are."""
        found = [LINES.c.booked_time >= self.moments[0], not_(self._is_elsewhere)]
        if self.is_ended:
            found.append(LINES.c.booked_time < self.moments[-1])
        if self.organization != NO_LABEL:
            found.append(LINES.c.organization == self.organization)
        return found

    @property
    def _is_elsewhere(self) -> ColumnElement[bool]:
        """Whether a line is of an adjustment, which counts for those that its content names.

        Of one that was erased its line is all there is. It counts in its organization alone: what it
        gave to everyone stands in an entry of its own, which is not erased.
        """
        has_content = () if self.organization == NO_LABEL else (ENTRIES.c.content.is_not(None),)
        # Cheap to see of nearly every line that it is none: requests name their model.
        return and_(
            LINES.c.model == NO_LABEL,
            LINES.c.target == NO_LABEL,
            exists().where(*_IS_OF_AN_ADJUSTMENT, *has_content),
        )


async def sums_of(connection: AsyncConnection, wanted: Sequence[Wanted]) -> dict[Wanted, Used]:
    """What the lines of records say that counters should hold.

    Adjustments are left out, but for those whose content was erased.
    """
    found = dict.fromkeys(wanted, NOTHING_USED)
    groups: dict[_Group, list[Wanted]] = defaultdict(list)
    for one in wanted:
        group = _group(one)
        if group is not None:
            groups[group].append(one)
    numbers = await stored_numbers(connection, set(_labels(wanted)))
    for group, some in groups.items():
        organization = numbers.get((Kind.ORGANIZATION, group.organization), NO_LABEL)
        if group.organization and organization == NO_LABEL:
            continue  # nobody has used anything
        moments = sorted({moment for one in some for moment in _moments(one)})
        is_ended = all(one.end is not None for one in some)
        lines = _Lines(group.kind, organization, moments, is_ended)
        if group.kind is Kind.TAGS:
            by_number = await _by_tags(connection, lines, some)
        else:
            by_number = _by_number(group.kind, some, numbers)
        if by_number:
            await _add(connection, lines, by_number, found)
    return found


def _group(one: Wanted) -> _Group | None:
    name = one.name
    kind = _KINDS.get(name.subject.partition("/")[0])
    if name.subject == SubjectKind.EVERYONE.value or kind is not None:
        return _Group(kind, "" if name.is_wide else storable(name.partition))
    return None


def _labels(wanted: Iterable[Wanted]) -> Iterator[Label]:
    for one in wanted:
        word, _, subject_id = one.name.subject.partition("/")
        kind = _KINDS.get(word)
        if kind is not None and kind is not Kind.TAGS:
            yield kind, storable(subject_id)
        if not one.name.is_wide:
            yield Kind.ORGANIZATION, storable(one.name.partition)


def _moments(one: Wanted) -> Iterator[int]:
    yield one.start * MICROSECONDS
    if one.end is not None:
        yield one.end * MICROSECONDS


def _by_number(
    kind: Kind | None, wanted: Iterable[Wanted], numbers: Mapping[Label, int]
) -> Mapping[int, Sequence[Wanted]]:
    """What counts for whom, by the number that lines have."""
    found: dict[int, list[Wanted]] = defaultdict(list)
    for one in wanted:
        if kind is None:
            found[_EVERYONE].append(one)
            continue
        number = numbers.get((kind, storable(one.name.subject.partition("/")[2])))
        if number is not None:
            found[number].append(one)
    return found


async def _by_tags(
    connection: AsyncConnection, lines: _Lines, wanted: Iterable[Wanted]
) -> Mapping[int, Sequence[Wanted]]:
    """Likewise. All tags of a request are one label: it counts for whoever is among them."""
    by_subject: dict[str, list[Wanted]] = defaultdict(list)
    for one in wanted:
        by_subject[one.name.subject].append(one)
    used = select(lines.column).where(lines.column != NO_LABEL, *lines.conditions)
    query = select(LABELS.c.label_id, LABELS.c.text).where(LABELS.c.label_id.in_(used))
    found: dict[int, list[Wanted]] = {}
    for number, tags in await connection.execute(query):
        subjects = [f"{SubjectKind.TAG.value}/{n}={tag}" for n, tag in _TAGS.decode(tags).items()]
        some = [one for subject in subjects for one in by_subject.get(subject, ())]
        if some:
            found[number] = some
    return found


async def _add(
    connection: AsyncConnection,
    lines: _Lines,
    by_number: Mapping[int, Sequence[Wanted]],
    found: dict[Wanted, Used],
) -> None:
    """Go over lines, and add what they say to what counts it."""
    query = _sums(lines)
    if lines.kind is not None and len(by_number) <= _MOST_LABELS_A_QUERY:
        query = query.where(lines.column.in_(sorted(by_number)))
    # There may be as many sums as moments for each number: never all at once.
    async with connection.stream(query.execution_options(yield_per=_ROWS_AT_ONCE)) as rows:
        async for number, moment, *sums in rows:
            used = Used(*map(int, sums))
            for one in by_number.get(number, ()):
                if one.counts(moment):
                    found[one] += used


def _sums(lines: _Lines) -> Select[Any]:
    """By number, and by the moment since which nothing wanted begins or ends."""
    # Each attempt at a target counts as a request there.
    requests = func.count() if lines.kind is Kind.TARGET else func.sum(LINES.c.requests)
    amounts = (requests, *(func.sum(LINES.c[name]) for name in _AMOUNTS))
    query = select(lines.column, _last(lines.moments), *amounts).where(*lines.conditions)
    return query.group_by(text("1"), text("2"))


def _last(moments: Sequence[int]) -> ColumnElement[int]:
    """The last of some moments that a line does not lie before, found by halving them."""
    if len(moments) == 1:
        return literal(moments[0], BigInteger)
    half = len(moments) // 2
    is_before = LINES.c.booked_time < moments[half]
    return case((is_before, _last(moments[:half])), else_=_last(moments[half:]))
