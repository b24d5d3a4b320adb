"""`balances`, against an admin API in memory."""

import json

import pytest
from cli.fake_admin_api import TIME, running_admin_api


@pytest.fixture
def api(monkeypatch, run, admin_key):
    with running_admin_api() as api:
        monkeypatch.setenv("MESHGATE_URL", api.url)
        yield api


def asked(api):
    method, path, _, body = api.requests[-1]
    assert method == "POST"
    return path, body


def test_a_top_up_goes_to_whoever_has_the_name(run, api):
    team = api.add("teams", name="search")

    result = run(
        "balances", "top-up", "team", "search", "100.5", "--note", "invoice 7", "--id", "7"
    )

    assert result.exit_code == 0
    path, body = asked(api)
    assert path == f"/admin/v1/balances/team/{team}:topUp"
    assert body == {"top_up_id": "7", "amount_nanos": "100500000000", "note": "invoice 7"}
    assert result.stdout == f"team/{team} has 100.5 USD topped up (top-up 7 of 100.5 USD)\n"


def test_an_amount_below_nothing_is_an_amount(run, api):
    run("balances", "top-up", "key", "config/bench", "3", "--id", "a")
    result = run("balances", "top-up", "key", "config/bench", "-0.5", "--id", "b")

    assert result.exit_code == 0
    assert asked(api)[1]["amount_nanos"] == "-500000000"
    assert "has 2.5 USD topped up" in result.stdout


def test_each_top_up_has_an_id_of_its_own(run, api):
    for _ in range(2):
        assert run("balances", "top-up", "organization", "default", "1").exit_code == 0

    ids = {body["top_up_id"] for _, _, _, body in api.requests}
    assert len(ids) == 2
    assert all(ids)


def test_what_happens_at_its_end_is_said_by_an_option(run, api):
    run("balances", "top-up", "organization", "default", "1", "--enforce", "strict")

    assert asked(api)[1]["enforcement"] == "ENFORCEMENT_STRICT"


def test_all_top_ups_of_a_balance_are_shown(run, api):
    for number in range(3):
        run("balances", "top-up", "organization", "default", "1", "--id", f"n{number}")

    result = run("balances", "show", "organization", "default")
    whole = json.loads(run("balances", "show", "organization", "default", "--json").stdout)

    first, second, _, head, *rows = result.stdout.splitlines()
    assert first == "organization/default  3 USD topped up  0 USD spent  3 USD left"
    assert second == "enforcement: normal"
    assert head.split() == ["TIME", "USD", "THEN", "ID", "BY", "NOTE"]
    assert [row.split()[1:4] for row in rows] == [
        ["1", "3", "n2"],
        ["1", "2", "n1"],
        ["1", "1", "n0"],
    ]
    assert whole["balance"]["amount_nanos"] == "3000000000"
    assert whole["spent_nanos"] == "0"
    assert [top_up["id"] for top_up in whole["top_ups"]] == ["n2", "n1", "n0"]


def test_what_is_spent_of_a_balance_is_asked_of_the_ledger_since_it_is_there(run, api):
    team = api.add("teams", name="search")
    run("balances", "top-up", "team", "search", "2")
    api.spent = "2500000001"

    result = run("balances", "show", "team", "search")

    assert "2.500000001 USD spent  -0.500000001 USD left" in result.stdout
    _, path, query, _ = api.requests[-1]
    assert path == "/admin/v1/usage"
    assert (query["filter.team_id"], query["filter.start_time"]) == (team, TIME)


def test_a_balance_is_shown_where_there_is_no_ledger(run, api):
    run("balances", "top-up", "organization", "default", "2")
    api.spent = None

    result = run("balances", "show", "organization", "default")

    assert result.exit_code == 0
    assert result.stdout.startswith("organization/default  2 USD topped up\n")
    assert "what is spent is not known: there is no ledger" in result.stderr


def test_balances_are_listed(run, api):
    acme = api.add("organizations", name="acme")
    team = api.add("teams", name="search", organization_id=acme)
    run("balances", "top-up", "team", "search", "5")

    result = run("balances", "list", "--organization", "acme", "--team", "search")

    _, path, query, _ = api.requests[-1]
    assert path == "/admin/v1/balances"
    assert (query["organization_id"], query["team_id"]) == (acme, team)
    _, row = result.stdout.splitlines()
    assert row.split()[0] == f"team/{team}"
    assert "5" in row.split()


def test_where_there_is_none_it_is_said(run, api):
    result = run("balances", "list")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no balances\n")


@pytest.mark.parametrize(
    "arguments",
    [("model", "gpt", "5"), ("team", "search", "much"), ("team", "search"), ("team", "x", "1e-10")],
)
def test_what_is_typed_wrongly_is_refused_before_anything_is_asked(run, api, arguments):
    result = run("balances", "top-up", *arguments)

    assert result.exit_code == 2
    assert api.requests == []


def test_a_refusal_is_told(run, api):
    api.refusal = (400, "the top-ups of team/team_1 come to 5 USD: no more can be taken away")

    result = run("balances", "top-up", "team", "team_1", "-6")

    assert result.exit_code == 1
    assert "come to 5 USD" in result.stderr
