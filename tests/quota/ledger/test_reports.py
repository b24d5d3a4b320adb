"""Reports against a naive model, on both kinds of databases."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from bench.generated_usage import HOUR, Company, entries
from hypothesis import given, settings
from hypothesis import strategies as st
from quota.ledger import report_oracle as oracle
from quota.ledger.databases import migrated_sqlite, new_postgres

from meshgate.database.database import Database
from meshgate.quota.ledger.reports import (
    Dimension,
    Order,
    RecordQuery,
    ReportQuery,
    TooManyRowsError,
    UsageFilter,
)
from meshgate.quota.ledger.schema import SCHEMA
from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.sql_reports import SqlReports
from meshgate.quota.ledger.time_buckets import Bucket, Span, starts

# In this fortnight clocks are set back in Berlin, and in New York a week later.
START = int(datetime(2026, 10, 20, tzinfo=UTC).timestamp()) * 1_000_000
DAYS = 14
END = START + DAYS * 24 * HOUR
COMPANY = Company(START, days=DAYS, organizations=2, teams=2, users=3, keys=6)
USAGE = list(entries(COMPANY, 1_500))
ZONES = [ZoneInfo(name) for name in ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")]
ALL = UsageFilter(Span(START, END))


class Asked:
    """A database with USAGE in it, for tests that Hypothesis runs again and again."""

    def __init__(self, runner, database):
        self.runner = runner
        self.database = database

    def report(self, query, **options):
        return self.runner.run(SqlReports(self.database, **options).report(query))

    def records(self, query):
        return self.runner.run(SqlReports(self.database).records(query))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def asked(request, tmp_path_factory):
    if request.param == "sqlite":
        url = migrated_sqlite(tmp_path_factory.mktemp("reports") / "ledger.sqlite")
    else:
        url = new_postgres(request.getfixturevalue("ledger_postgres"), "reports")
    with asyncio.Runner() as runner:
        database = Database(SCHEMA, url, wait_seconds=20.0)
        runner.run(SqlLedger(database).append(USAGE))
        yield Asked(runner, database)
        runner.run(database.close())


def names_of(dimension):
    return sorted(
        {getattr(line, dimension.value) for entry in USAGE for line in entry.lines} - {""}
    )


spans = st.tuples(st.integers(START - HOUR, END + HOUR), st.integers(0, END - START)).map(
    lambda pair: Span(pair[0], pair[0] + pair[1] + 1)
)
one_name = st.sampled_from(list(Dimension)).flatmap(
    lambda dimension: st.tuples(
        st.just(dimension), st.sampled_from([*names_of(dimension), "nobody"])
    )
)
one_tag = st.sampled_from([("region", "eu"), ("region", "us"), ("tier", "0"), ("tier", "9")])
filters = st.builds(
    UsageFilter,
    span=spans | st.just(Span(START, END)),
    names=st.lists(one_name, max_size=2).map(tuple),
    tags=st.lists(one_tag, max_size=2).map(tuple),
)
queries = st.builds(
    ReportQuery,
    filter=filters,
    group_by=st.lists(st.sampled_from(list(Dimension)), unique=True, max_size=3).map(tuple),
    group_by_tags=st.lists(
        st.sampled_from(["region", "tier", "none"]), unique=True, max_size=2
    ).map(tuple),
    order=st.sampled_from(list(Order)),
    size=st.just(100_000),
)


@given(query=queries, bucket=st.sampled_from([None, *Bucket]), zone=st.sampled_from(ZONES))
@settings(max_examples=40, deadline=None)
def test_sums_are_those_of_a_naive_count(asked, query, bucket, zone):
    if bucket:
        query = replace(query, starts=starts(query.filter.span, bucket, zone, 1_000))

    found = asked.report(query)

    expected = oracle.rows(USAGE, query, bucket, zone)
    clocks = [oracle.wall_clock(row.start, bucket, zone) if bucket else () for row in found.rows]
    rows = zip(clocks, found.rows, strict=True)
    assert [(clock, (*row.names, *row.tags), row.sums) for clock, row in rows] == expected
    assert found.next is None
    assert found.total == oracle.sums(line for _, line in oracle.fitting(USAGE, query.filter))


@given(query=queries, size=st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_pages_put_together_are_the_whole(asked, query, size):
    query = replace(query, starts=starts(query.filter.span, Bucket.WEEK, ZONES[1], 1_000))
    whole = asked.report(query)
    pages, after = [], None
    while True:
        page = asked.report(replace(query, size=size, after=after))
        pages.append(page)
        if page.next is None or len(pages) > 12:
            break
        after = page.next

    together = [row for page in pages for row in page.rows]
    assert together == list(whole.rows[: len(together)])
    assert pages[-1].next is not None or len(together) == len(whole.rows)
    assert [page.total for page in pages] == [whole.total, *[None] * (len(pages) - 1)]


@given(wanted=filters, size=st.integers(1, 400))
@settings(max_examples=25, deadline=None)
def test_records_are_told_once_each_the_newest_first(asked, wanted, size):
    found, after = [], None
    while True:
        page = asked.records(RecordQuery(filter=wanted, size=size, after=after))
        found += [record.request_id for record in page.records]
        after = page.next
        if after is None or len(found) > 5 * size:
            break

    expected = oracle.records(USAGE, wanted)
    assert found == expected[: len(found)]
    assert after is not None or len(found) == len(expected)


def test_a_single_request_is_found_by_what_it_was_called(asked):
    page = asked.records(RecordQuery(filter=ALL, request_id="req-1-17"))
    none = asked.records(RecordQuery(filter=ALL, request_id="req-1-"))
    elsewhere = UsageFilter(ALL.span, ((Dimension.ORGANIZATION, "nobody"),))
    of_nobody = asked.records(RecordQuery(filter=elsewhere, request_id="req-1-17"))

    assert [record.hold_id for record in page.records] == ["hold-1-17"]
    assert (none.records, of_nobody.records) == ((), ())


def test_what_a_request_was_called_is_looked_for_in_what_may_be_seen_only(asked):
    [seen] = asked.records(RecordQuery(filter=ALL, request_id="req-1-17")).records
    others = {"org_0": "org_1", "org_1": "org_0"}[seen.organization_id]

    def of(organization):
        names = ((Dimension.ORGANIZATION, organization),)
        query = RecordQuery(filter=UsageFilter(ALL.span, names), request_id="req-1-17", size=1)
        return asked.records(query)

    assert [record.hold_id for record in of(seen.organization_id).records] == ["hold-1-17"]
    assert of(others).records == ()


def test_a_report_with_too_many_rows_is_not_made(asked):
    query = ReportQuery(filter=ALL, group_by=(Dimension.KEY, Dimension.MODEL))

    with pytest.raises(TooManyRowsError):
        asked.report(query, most_rows=3)
