"""`meshgate usage`, against a service in memory."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from cli.fake_usage_api import row, running_usage_api, sums
from hypothesis import given
from hypothesis import strategies as st

from meshgate.cli.usage_cells import csv_line, dollars, shown_dollars

USAGE = "/admin/v1/usage"
RECORDS = f"{USAGE}/records"


@pytest.fixture
def api(monkeypatch, run, admin_key):
    with running_usage_api() as api:
        monkeypatch.setenv("MESHGATE_URL", api.url)
        yield api


def record(**fields):
    charge = {
        "provider": "openai",
        "model": "gpt-1",
        "usage": {"input_tokens": 1200, "output_tokens": 30},
        "cost_nanos": "1063761250",
    }
    return {
        "hold_id": "h1",
        "request_id": "r1",
        "principal_id": "key_1",
        "organization_id": "acme",
        "team_id": "",
        "user_id": "",
        "key_id": "key_1",
        "model": "small",
        "dialect": "openai_chat",
        "outcome": "REQUEST_OUTCOME_ANSWERED",
        "cache": "CACHE_OUTCOME_UNSPECIFIED",
        "start_time": "2026-11-28T23:30:00.123456789Z",
        "end_time": "2026-11-28T23:30:01Z",
        "charges": [charge],
    } | fields


def asked(api):
    [(method, _, query, _)] = api.requests
    assert method == "GET"
    return query


def test_a_report_is_a_table_with_exact_amounts_and_a_total(run, api):
    api.report(
        row(team_id="search", requests=1200, input_tokens=6, cost_nanos=1_063_761_250),
        row(requests=3, cost_nanos=-5, saved_cost_nanos=1_234_500_000_000),
        total=sums(requests=1203, cost_nanos=1_063_761_245),
    )

    result = run("usage", "--by", "team")

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "TEAM    REQUESTS  FROM CACHE  TOKENS IN  TOKENS OUT      COST USD  SAVED USD",
        "search     1,200           0          6           0    1.06376125       0.00",
        "-              3           0          0           0  -0.000000005   1,234.50",
        "TOTAL      1,203           0          0           0   1.063761245       0.00",
    ]
    assert result.stderr == ""


def test_what_is_asked_for_is_said_by_options(run, api):
    api.report()

    result = run(
        *("usage", "--by", "model", "--by", "key", "--by-tag", "project", "--per", "day"),
        *("--order", "tokens", "--top", "5", "--organization", "org_1", "--team", "team_1"),
        *("--user", "user_1", "--key", "key_1", "--model", "small", "--target", "openai/gpt-1"),
        *("--tag", "env=test", "--tag", "a=b=c", "--time-zone", "Europe/Berlin"),
        *("--since", "2026-11-01", "--until", "2026-11-02T12:00+00:00"),
    )

    assert result.exit_code == 0, result.output
    assert result.stderr == "nothing was used\n"
    assert asked(api) == {
        "filter.organization_id": ["org_1"],
        "filter.team_id": ["team_1"],
        "filter.user_id": ["user_1"],
        "filter.key_id": ["key_1"],
        "filter.model": ["small"],
        "filter.target": ["openai/gpt-1"],
        "filter.tags": ["env=test", "a=b=c"],
        "filter.start_time": ["2026-10-31T23:00:00Z"],
        "filter.end_time": ["2026-11-02T12:00:00Z"],
        "group_by": ["USAGE_DIMENSION_MODEL", "USAGE_DIMENSION_KEY"],
        "group_by_tags": ["project"],
        "bucket": ["TIME_BUCKET_DAY"],
        "time_zone": ["Europe/Berlin"],
        "order_by": ["USAGE_ORDER_TOKENS"],
        "page_size": ["5"],
    }


def test_without_options_it_is_about_the_last_thirty_days(run, api):
    api.report(row(requests=1), total=sums(requests=1))

    result = run("usage")

    start = datetime.fromisoformat(asked(api)["filter.start_time"][0])
    end = datetime.fromisoformat(asked(api)["filter.end_time"][0])
    assert abs(end - start - timedelta(days=30)) < timedelta(minutes=1)
    assert abs(datetime.now(UTC) - end) < timedelta(minutes=5)
    assert len(result.stdout.splitlines()) == 2


def test_stretches_of_time_begin_by_the_clocks_of_the_zone(run, api):
    hour = row("2026-10-31T23:00:00Z", requests=1)
    api.report(hour)

    days = run("usage", "report", "--per", "day", "--time-zone", "Europe/Berlin").stdout
    hours = run("usage", "--per", "hour", "--time-zone", "Europe/Berlin").stdout
    months = run("usage", "--per", "month").stdout

    assert days.splitlines()[1].split()[0] == "2026-11-01"
    assert hours.splitlines()[1].split()[:2] == ["2026-11-01", "00:00"]
    assert months.splitlines()[1].split()[0] == "2026-10"


def test_what_has_no_price_or_was_estimated_is_noted(run, api):
    api.report(
        row(requests=1),
        total=sums(unpriced_charges=1234, estimated_charges=2),
        ledger_time=None,
    )

    notes = run("usage").stderr.splitlines()

    assert [note.split(":")[0] for note in notes] == ["note"] * 3
    assert "1,234 charges have no price" in notes[0]


def test_csv_has_all_pages_and_nothing_that_is_taken_for_a_formula(run, api):
    api.give(
        USAGE,
        {"rows": [row("2026-11-01T00:00:00Z", model='=cmd("x"),1', cost_nanos=-7)]},
        {"rows": [row("2026-11-02T00:00:00Z", model="-small", tags={"env": "@a"})]},
    )

    result = run("usage", "--by", "model", "--by-tag", "env", "--per", "day", "--csv")

    assert "\r\n" in result.stdout_bytes.decode()
    found = list(csv.DictReader(io.StringIO(result.stdout_bytes.decode(), newline="")))
    assert [line["model"] for line in found] == ['\'=cmd("x"),1', "'-small"]
    assert found[1]["tag_env"] == "'@a"
    assert found[0]["start_time"] == "2026-11-01T00:00:00+00:00"
    assert (found[0]["cost_nanos"], found[0]["cost_usd"]) == ("-7", "-0.000000007")


def test_json_has_all_rows_and_the_total_of_the_first_page(run, api):
    pages = [{"rows": [row(model="a")], "total": sums(requests=2)}, {"rows": [row(model="b")]}]
    api.give(USAGE, *pages)

    report = json.loads(run("usage", "--by", "model", "--json").stdout)

    assert [found["model"] for found in report["rows"]] == ["a", "b"]
    assert report["total"]["requests"] == "2"


def test_the_top_is_the_first_page_alone(run, api):
    api.give(USAGE, {"rows": [row(model="a")], "total": sums()}, {"rows": [row(model="b")]})

    result = run("usage", "--by", "model", "--top", "1")

    assert [line.split()[0] for line in result.stdout.splitlines()] == ["MODEL", "a", "TOTAL"]
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--since", "yesterday"),
        ("--time-zone", "Mars/Olympus"),
        ("--by", "moon"),
        ("--tag", "noequals"),
        ("--top", "0"),
        ("--since", "99999999999d"),
    ],
)
def test_options_that_say_nothing_are_refused(run, api, options):
    result = run("usage", *options)

    assert result.exit_code == 2
    assert api.requests == []


def test_requests_are_listed_the_newest_first_with_who_answered(run, api):
    hit = {"cache": "CACHE_OUTCOME_HIT", "charges": [], "request_id": "r2"}
    unpriced = record(request_id="r3")
    del unpriced["charges"][0]["cost_nanos"]
    api.give(RECORDS, {"records": [record(), record(**hit), unpriced]})

    result = run("usage", "records", "--time-zone", "Europe/Berlin", "--request", "r1")

    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        "TIME REQUEST KEY MODEL ANSWERED BY OUTCOME TOKENS IN TOKENS OUT COST USD",
        "2026-11-29 00:30:00 r1 key_1 small openai/gpt-1 answered 1,200 30 1.06376125",
        "2026-11-29 00:30:00 r2 key_1 small the cache answered 0 0 0.00",
        "2026-11-29 00:30:00 r3 key_1 small openai/gpt-1 answered 1,200 30 unpriced",
    ]
    assert asked(api)["request_id"] == ["r1"]
    assert asked(api)["page_size"] == ["20"]


def test_requests_go_on_from_page_to_page_as_long_as_they_are_wanted(run, api):
    pages = [{"records": [record(request_id=f"r{page}{n}") for n in range(2)]} for page in range(3)]
    api.give(RECORDS, *pages)

    everything = json.loads(run("usage", "records", "--json").stdout)
    some = run("usage", "records", "--last", "3", "--csv").stdout_bytes.decode()

    assert len(everything) == 6
    assert len(api.requests) == 5
    found = list(csv.DictReader(io.StringIO(some, newline="")))
    assert [line["request_id"] for line in found] == ["r00", "r01", "r10"]
    assert {(line["outcome"], line["cache"]) for line in found} == {("answered", "")}


@given(st.integers(-(10**18), 10**18))
def test_amounts_lose_no_digit(nanos):
    whole, _, fraction = dollars(nanos).partition(".")
    sign = -1 if whole.startswith("-") else 1

    assert sign * (abs(int(whole)) * 10**9 + int(fraction.ljust(9, "0"))) == nanos
    assert len(fraction) >= 2
    assert shown_dollars(nanos).replace(",", "") == dollars(nanos)


@given(st.lists(st.text(st.characters(exclude_characters="\x00")), min_size=1))
def test_lines_of_csv_are_read_back_and_begin_no_formula(cells):
    [found] = csv.reader(io.StringIO(csv_line(cells), newline=""))

    assert [cell.removeprefix("'") for cell in found] == [cell.removeprefix("'") for cell in cells]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in found)
