"""UsageService over every binding, with callers that a test makes up."""

import asyncio
import shutil
from datetime import UTC, datetime

import pytest
from bench.generated_usage import Company, entries
from bindings import BINDINGS
from quota.ledger.databases import migrated_sqlite
from quota.ledger.report_oracle import sums
from quota.ledger.served_usage import NOW, answering, served
from quota.ledger.usage import database_at

from meshgate.quota.ledger.sql_ledger import SqlLedger
from meshgate.quota.ledger.sql_reports import SqlReports
from meshgate.runtime.errors import ServiceUnavailableError
from meshgate.v1 import usage_service_pb2 as pb

START = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 1_000_000
USAGE = list(entries(Company(START, days=5, organizations=2, teams=2, users=3, keys=5), 400))


@pytest.fixture(scope="module")
def ledger_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("usage") / "ledger.sqlite"
    url = migrated_sqlite(file)

    async def fill():
        async with database_at(url) as database:
            await SqlLedger(database).append(USAGE)

    asyncio.run(fill())
    return file


@pytest.fixture(params=BINDINGS)
async def api(request, ledger_file):
    async with (
        database_at(f"sqlite:///{ledger_file}") as database,
        served(request.param, answering(SqlReports(database))) as api,
    ):
        yield api


@pytest.fixture
async def local(ledger_file):
    """The same over one binding, for what no binding changes."""
    async with (
        database_at(f"sqlite:///{ledger_file}") as database,
        served("in-process", answering(SqlReports(database))) as api,
    ):
        yield api


def lines_where(**names):
    lines = [line for entry in USAGE for line in entry.lines]
    return [
        line for line in lines if all(getattr(line, name) == text for name, text in names.items())
    ]


async def test_sums_come_with_their_names_the_dearest_first(api):
    response = await api.query(
        group_by=[pb.USAGE_DIMENSION_ORGANIZATION, pb.USAGE_DIMENSION_MODEL],
        group_by_tags=["region"],
        bucket=pb.TIME_BUCKET_WEEK,
        time_zone="Europe/Berlin",
    )

    first = response.rows[0]
    assert first.start_time.ToDatetime(UTC) == datetime(2026, 10, 25, 23, tzinfo=UTC)
    assert first.organization_id.startswith("org_")
    assert first.model.startswith("model-")
    assert list(first.tags) == ["region"]
    assert (first.team_id, first.key_id) == ("", "")
    weeks = [(row.start_time.seconds, -row.sums.cost_nanos) for row in response.rows]
    assert weeks == sorted(weeks)
    everything = sums(lines_where())
    assert response.total.cost_nanos == everything.cost_nanos
    assert sum(row.sums.requests for row in response.rows) == everything.requests
    assert response.next_page_token == ""


async def test_without_a_group_there_is_one_row(api):
    response = await api.query()

    assert [row.sums for row in response.rows] == [response.total]
    assert not response.rows[0].HasField("start_time")
    assert response.ledger_time.ToMicroseconds() == NOW - 2_500_000


@pytest.mark.parametrize(
    ("caller", "names"),
    [
        ("boss", {"organization": "org_1"}),
        ("viewer", {"organization": "org_1"}),
        ("lead", {"organization": "org_1", "team": "team_1_1"}),
    ],
)
async def test_a_caller_is_told_of_what_its_role_reaches(api, caller, names):
    mine = await api.query(caller, group_by=[pb.USAGE_DIMENSION_TEAM])
    page = await api.records(caller, page_size=1_000)
    other = await api.query(caller, filter={"organization_id": "org_0"})
    others = await api.records(caller, filter={"team_id": "team_0_1"})

    assert mine.total.requests == sum(line.requests for line in lines_where(**names)) > 0
    assert {record.organization_id for record in page.records} == {"org_1"}
    assert len(page.records) > 0
    assert (list(other.rows), other.total) == ([], pb.UsageSums())
    assert list(others.records) == []


async def test_who_may_not_read_usage_is_told_nothing(api):
    refused = await api.refused("QueryUsage", pb.QueryUsageRequest(), "nobody")
    stranger = await api.refused("ListUsageRecords", pb.ListUsageRecordsRequest(), "stranger")

    assert refused.reason == "ERROR_REASON_PERMISSION_DENIED"
    assert stranger.reason == "ERROR_REASON_CREDENTIAL_INVALID"


async def test_pages_go_on_where_the_last_one_ended(api):
    asked = {"group_by": [pb.USAGE_DIMENSION_KEY], "order_by": pb.USAGE_ORDER_REQUESTS}
    whole = await api.query(**asked)
    first = await api.query(**asked, page_size=3)
    second = await api.query(**asked, page_size=4, page_token=first.next_page_token)

    assert [*first.rows, *second.rows] == list(whole.rows[:7])
    assert first.HasField("total")
    assert not second.HasField("total")


async def test_pages_of_records_go_on_where_the_last_one_ended(api):
    first = await api.records(page_size=2, filter={"model": "model-1"})
    token = first.next_page_token
    second = await api.records(page_size=2, filter={"model": "model-1"}, page_token=token)

    moments = [record.start_time.ToMicroseconds() for record in (*first.records, *second.records)]
    assert len(set(moments)) == 4
    assert moments == sorted(moments, reverse=True)


async def test_a_request_is_found_by_its_name_and_has_its_charges(api):
    page = await api.records(request_id="req-1-200")

    [record] = page.records
    assert record.hold_id == "hold-1-200"


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("time_zone", pb.QueryUsageRequest(time_zone="Mars/Olympus")),
        ("time_zone", pb.QueryUsageRequest(time_zone="../../etc/passwd")),
        ("time_zone", pb.QueryUsageRequest(time_zone="Europe")),
        ("group_by", pb.QueryUsageRequest(group_by=[0])),
        ("group_by", pb.QueryUsageRequest(group_by=[99])),
        ("group_by", pb.QueryUsageRequest(group_by=[1, 1])),
        ("group_by_tags", pb.QueryUsageRequest(group_by_tags=["a", "b", "c", "d", "e"])),
        ("group_by_tags", pb.QueryUsageRequest(group_by_tags=[""])),
        ("group_by_tags", pb.QueryUsageRequest(group_by_tags=["x" * 1_000_000])),
        ("bucket", pb.QueryUsageRequest(bucket=17)),
        ("order_by", pb.QueryUsageRequest(order_by=17)),
        ("page_size", pb.QueryUsageRequest(page_size=-1)),
        ("page_token", pb.QueryUsageRequest(page_token="made up")),
        ("page_token", pb.QueryUsageRequest(page_token="x" * 1_000_000)),
        ("filter.tags", pb.QueryUsageRequest(filter={"tags": ["no value"]})),
        ("filter.tags", pb.QueryUsageRequest(filter={"tags": ["n=" + "v" * 1_000_000]})),
        ("filter.tags", pb.QueryUsageRequest(filter={"tags": [f"n{n}=v" for n in range(17)]})),
        ("filter.model", pb.QueryUsageRequest(filter={"model": "m" * 1_000})),
        (
            "filter.start_time",
            pb.QueryUsageRequest(filter={"start_time": {"seconds": NOW // 1_000_000 + 1}}),
        ),
        ("filter.start_time", pb.QueryUsageRequest(filter={"start_time": {"seconds": -1}})),
        ("filter.end_time", pb.QueryUsageRequest(filter={"end_time": {"seconds": 10**17}})),
        (
            "bucket",
            pb.QueryUsageRequest(
                bucket=pb.TIME_BUCKET_HOUR, filter={"start_time": {"seconds": 1_500_000_000}}
            ),
        ),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_the_field(local, field, request_):
    refused = await local.refused("QueryUsage", request_)

    assert refused.reason == "ERROR_REASON_INVALID_REQUEST"
    assert refused.field == field
    assert len(refused.message) < 400


async def test_a_page_token_is_good_for_the_same_question_of_the_same_caller_only(local):
    asked = pb.QueryUsageRequest(group_by=[pb.USAGE_DIMENSION_KEY], page_size=1)
    asked.page_token = (await local.call("QueryUsage", asked)).next_page_token
    other = pb.QueryUsageRequest(page_token=asked.page_token)
    records = pb.ListUsageRecordsRequest(page_token=asked.page_token)

    of_another_list = await local.refused("QueryUsage", other)
    of_another_caller = await local.refused("QueryUsage", asked, "boss")
    of_another_rpc = await local.refused("ListUsageRecords", records)

    assert {of_another_list.field, of_another_caller.field, of_another_rpc.field} == {"page_token"}


async def test_a_report_that_is_too_large_is_refused(ledger_file):
    async with (
        database_at(f"sqlite:///{ledger_file}") as database,
        served("in-process", answering(SqlReports(database, most_rows=2))) as api,
    ):
        asked = pb.QueryUsageRequest(group_by=[pb.USAGE_DIMENSION_KEY])
        refused = await api.refused("QueryUsage", asked)

    assert refused.field == "group_by"


async def test_nothing_is_said_of_completeness_while_the_store_is_away(ledger_file):
    async def away():
        raise ServiceUnavailableError("away")

    async with (
        database_at(f"sqlite:///{ledger_file}") as database,
        served("in-process", answering(SqlReports(database), away)) as api,
    ):
        response = await api.query()

    assert not response.HasField("ledger_time")
    assert response.total.requests > 0


async def test_a_ledger_that_was_not_made_yet_is_unavailable_until_it_is(tmp_path, ledger_file):
    file = tmp_path / "late.sqlite"
    async with (
        database_at(f"sqlite:///{file}") as database,
        served("in-process", answering(SqlReports(database))) as api,
    ):
        refused = await api.refused("QueryUsage", pb.QueryUsageRequest())
        shutil.copy(ledger_file, file)
        response = await api.query()

    assert refused.reason == "ERROR_REASON_SERVICE_UNAVAILABLE"
    assert response.total.requests > 0


async def test_a_service_without_a_ledger_says_what_to_do():
    async with served("in-process", None) as api:
        refused = await api.refused("QueryUsage", pb.QueryUsageRequest())

    assert "LEDGER_DATABASE_URL" in refused.message
    assert refused.reason == "ERROR_REASON_FAILED_PRECONDITION"
