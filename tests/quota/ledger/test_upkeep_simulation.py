"""Whatever is written, erased and dropped, in whatever order: the books hold, and say the right sums."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quota.ledger.books import verify_all
from quota.ledger.breaking import WatchedDatabase
from quota.ledger.databases import migrated_sqlite
from quota.ledger.hourly import check_hours
from quota.ledger.usage import (
    MOMENT,
    adjusted,
    charge,
    database_at,
    entries,
    named_lines,
    record,
    rows,
    told,
)

from meshgate.quota.ledger.hours import HOUR, Hours
from meshgate.quota.ledger.schema import ENTRIES
from meshgate.quota.ledger.sql_eraser import SqlEraser
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.sql_retention import SqlAgingBooks
from meshgate.quota.ledger.time_buckets import Span

USERS = ("ann", "bob", "")
KEYS = ("k1", "k2", "")
ORGANIZATIONS = ("acme", "umbrella")
WRITE = st.tuples(
    st.just("write"),
    st.integers(0, 1),
    st.sampled_from(ORGANIZATIONS),
    st.sampled_from(USERS),
    st.sampled_from(KEYS),
    st.integers(1, 2),
)
ADJUST = st.tuples(
    st.just("adjust"), st.integers(0, 1), st.sampled_from(ORGANIZATIONS), st.sampled_from(KEYS[:2])
)
ERASE_USER = st.tuples(st.just("erase_user"), st.sampled_from(USERS[:2]))
ERASE_ORGANIZATION = st.tuples(st.just("erase_organization"), st.sampled_from(ORGANIZATIONS))
DROP = st.tuples(st.just("drop"), st.integers(0, 20))
ADVANCE = st.tuples(st.just("advance"), st.integers(1, 8))
STEPS = st.lists(
    WRITE | WRITE | ADJUST | ERASE_USER | ERASE_ORGANIZATION | DROP | ADVANCE, max_size=14
)
# The hour that all is booked in, and a part of it.
SPANS = [
    Span(MOMENT * 1_000 // HOUR * HOUR - HOUR, MOMENT * 1_000 // HOUR * HOUR + 2 * HOUR),
    Span(MOMENT * 1_000 + 3_000, MOMENT * 1_000 + 2 * HOUR),
]


@dataclass
class Booked:
    """An entry that must be there, and what its lines cost the organization."""

    shard: int
    time: int
    organization: str
    cost: int


class Simulation:
    """The books, and what must be in them."""

    def __init__(self, database) -> None:
        self._database = database
        # Reports are right after each transaction of erasing and dropping, not only after the last.
        self._checked = WatchedDatabase(database, lambda: check_hours(database, *SPANS))
        self._ledgers = (SqlLedger(database), SqlLedger(database))
        self._booked: list[Booked] = []
        self._number = 0
        self._gone: set[str] = set()

    async def step(self, step: Sequence[Any]) -> None:
        await getattr(self, step[0])(*step[1:])

    async def write(self, ledger, organization, user, key, shard) -> None:
        self._number += 1
        names = {"organization_id": organization, "user_id": user, "key_id": key}
        one = record(f"h{self._number}", charge(7), **names)
        when = MOMENT + self._number
        some = entries(told(self._number, one, shard=shard, grant_time=when))
        await self._ledgers[ledger].append(some)
        self._booked.append(Booked(shard, when, organization, 7))
        self._gone -= {organization, user}

    async def adjust(self, ledger, organization, key) -> None:
        self._number += 1
        subjects = [f"key/{key}", f"organization/{organization}"]
        more = {"partition": organization.encode(), "subjects": subjects, "shard": 1}
        one = adjusted(self._number, cause=b"settled/%d" % self._number, **more)
        await self._ledgers[ledger].append(entries(one))
        self._booked.append(Booked(1, MOMENT, organization, 40))
        self._gone -= {organization}

    async def erase_user(self, user) -> None:
        await SqlEraser(self._checked).erase_user(user, "root")
        self._gone.add(user)

    async def erase_organization(self, organization) -> None:
        await SqlEraser(self._checked).erase_organization(organization, "root")
        for one in self._booked:
            one.cost = 0 if one.organization == organization else one.cost
        self._gone.add(organization)

    async def drop(self, number) -> None:
        moment = MOMENT + number
        await SqlAgingBooks(self._checked).drop_before(moment * 1_000, lambda _: None)
        for shard in (1, 2):
            chain = [one for one in self._booked if one.shard == shard]
            gone = list(takewhile(lambda one: one.time < moment, chain))
            self._booked = [one for one in self._booked if not any(one is o for o in gone)]

    async def advance(self, most_entries) -> None:
        await Hours(self._database, most_entries).advance()

    async def check(self) -> None:
        await check_hours(self._database, *SPANS)
        verified = await verify_all(self._database)
        assert (verified.faults, verified.entry_count) == ([], len(self._booked))
        lines = await named_lines(self._database)
        for organization in ORGANIZATIONS:
            costs = [one.cost for one in self._booked if one.organization == organization]
            its_lines = [line for line in lines if line["organization"] == organization]
            assert sum(line["cost_nanos"] for line in its_lines) == sum(costs)
        names = {line[field] for line in lines for field in ("user", "organization")}
        contents = [row["content"] or b"" for row in await rows(self._database, ENTRIES)]
        for name in self._gone:
            assert name not in names
            assert not any(name.encode() in content for content in contents)


@pytest.mark.timeout(240)
@settings(max_examples=15)
@given(STEPS)
def test_the_books_hold_whatever_is_done_with_them(tmp_path_factory, steps):
    asyncio.run(simulate(tmp_path_factory, steps))


async def simulate(tmp_path_factory, steps) -> None:
    url = await asyncio.to_thread(
        migrated_sqlite, tmp_path_factory.mktemp("books") / "ledger.sqlite"
    )
    async with database_at(url) as database:
        simulation = Simulation(database)
        for step in steps:
            await simulation.step(step)
            await simulation.check()
