"""`keys`, `teams`, `users` and `organizations`, against an admin API in memory."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from cli.fake_admin_api import running_admin_api

NOTE = "The key is shown this once: keep it now.\n"


@pytest.fixture
def api(monkeypatch, run, admin_key):
    with running_admin_api() as api:
        monkeypatch.setenv("MESHGATE_URL", api.url)
        yield api


def created(api):
    """What the last request was to make."""
    method, _, _, body = api.requests[-1]
    assert method == "POST"
    return body


def changed(api):
    method, _, query, body = api.requests[-1]
    assert method == "PATCH"
    assert set(query["update_mask"].split(",")) == set(body) - {"id", "etag"}
    return body


def test_a_new_key_is_printed_once_with_a_note(run, api):
    result = run("keys", "create", "--name", "ci")

    assert result.exit_code == 0
    assert ["key", "mg-secret"] in [line.split() for line in result.stdout.splitlines()]
    assert result.stderr == NOTE
    assert created(api) == {"name": "ci"}


def test_a_new_key_is_printed_as_json(run, api):
    result = run("keys", "create", "--name", "ci", "--json")

    record = json.loads(result.stdout)
    assert list(record)[:3] == ["id", "key", "name"]
    assert (record["id"], record["key"], record["name"]) == ("key_1", "mg-secret", "ci")


def test_what_a_key_may_do_is_said_by_options(run, api):
    run(
        *("keys", "create", "--name", "ci", "--model", "gpt-*", "--model", "llama"),
        *("--network", "10.0.0.0/8", "--role", "viewer", "--tag", "env=test", "--tag", "x=a=b"),
        *("--rpm", "600", "--tpm", "0", "--concurrency", "5", "--budget", "0.5", "--per", "month"),
        *("--limit", "input_tokens/hour=7,enforce=strict", "--expires-in", "30d"),
    )

    body = created(api)
    limits = {(limit["kind"], limit.get("unit")): limit["amount"] for limit in body["limits"]}
    assert limits == {
        ("LIMIT_KIND_REQUESTS", "WINDOW_UNIT_MINUTE"): "600",
        ("LIMIT_KIND_TOKENS", "WINDOW_UNIT_MINUTE"): "0",
        ("LIMIT_KIND_CONCURRENCY", None): "5",
        ("LIMIT_KIND_COST", "WINDOW_UNIT_MONTH"): "500000000",
        ("LIMIT_KIND_INPUT_TOKENS", "WINDOW_UNIT_HOUR"): "7",
    }
    assert body["limits"][-1]["enforcement"] == "ENFORCEMENT_STRICT"
    assert body["allowed_models"] == ["gpt-*", "llama"]
    assert (body["allowed_networks"], body["roles"]) == (["10.0.0.0/8"], ["viewer"])
    assert body["tags"] == {"env": "test", "x": "a=b"}
    ends = datetime.fromisoformat(body["expire_time"])
    assert timedelta(days=29) < ends - datetime.now(UTC) < timedelta(days=31)


def test_teams_users_and_organizations_go_by_name_or_id(run, api):
    acme = api.add("organizations", name="acme")
    team = api.add("teams", name="search", organization_id=acme)
    api.add("teams", name="search", organization_id="other")
    api.add("teams", name="search-2", organization_id=acme)
    user = api.add("users", name="ada", organization_id=acme)

    run(
        *("keys", "create", "--name", "a", "--organization", "acme"),
        *("--team", "search", "--user", "ada"),
    )
    by_name = created(api)
    run(
        *("keys", "create", "--name", "a", "--organization", acme),
        *("--team", team, "--user", user),
    )

    expected = {"name": "a", "organization_id": acme, "team_id": team, "user_id": user}
    assert by_name == created(api) == expected


def test_a_name_that_nobody_has_says_where_to_look(run, api):
    result = run("keys", "create", "--name", "a", "--team", "search")

    assert result.exit_code == 1
    assert result.stderr == ("Error: there is no team called search: see `meshgate teams list`\n")


def test_a_name_that_several_have_asks_for_the_id(run, api):
    for organization in ("a", "b"):
        api.add("teams", name="search", organization_id=organization)

    result = run("keys", "list", "--team", "search")

    assert result.exit_code == 1
    assert "use the id, one of team_1, team_2" in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--name", "a", "--budget", "5"],
        ["--name", "a", "--per", "day"],
        ["--name", "a", "--budget", "much", "--per", "day"],
        ["--name", "a", "--budget", "9000001", "--per", "day"],
        ["--name", "a", "--rpm", "-1"],
        ["--name", "a", "--rpm", str(2**63)],
        ["--name", "a", "--rpm", "5", "--limit", "requests/minute=6"],
        ["--name", "a", "--limit", "apples=5"],
        ["--name", "a", "--expires-in", "tomorrow"],
        ["--name", "a", "--expires-in", "999999999999d"],
        ["--name", "a", "--expires-in", "9999999d"],
        ["--name", "a", "--tag", "env"],
    ],
)
def test_options_that_cannot_be_are_usage_errors_and_nothing_is_asked(run, api, options):
    result = run("keys", "create", *options)

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert api.requests == []


def test_all_pages_are_listed(run, api):
    limit = {"kind": "LIMIT_KIND_REQUESTS", "amount": "600", "unit": "WINDOW_UNIT_MINUTE"}
    api.add("keys", name="a", limits=[limit], allowed_models=["x", "y"], team_id="team_9")
    for name in "bcde":
        api.add("keys", name=name, state="KEY_STATE_EXPIRED")

    result = run("keys", "list")

    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        *("ID", "NAME", "ORGANIZATION", "TEAM"),
        *("MODELS", "LIMITS", "STATE", "EXPIRES"),
    ]
    assert lines[1].split() == [
        *("key_1", "a", "default", "team_9", "x", "y", "requests/minute=600", "active"),
    ]
    assert [line.split()[1] for line in lines[1:]] == list("abcde")
    assert "expired" in lines[2]


def test_lists_are_filtered(run, api):
    acme = api.add("organizations", name="acme")
    team = api.add("teams", name="search", organization_id=acme)

    run("keys", "list", "--organization", "acme", "--team", "search", "--name", "c", "--revoked")

    query = api.requests[-1][2]
    del query["page_size"]
    assert query == {
        "organization_id": acme,
        "team_id": team,
        "name_prefix": "c",
        "show_revoked": "true",
    }


def test_an_empty_list_prints_nothing_but_a_word(run, api):
    assert (run("keys", "list").stdout, run("keys", "list").stderr) == ("", "no keys\n")
    assert json.loads(run("keys", "list", "--json").stdout) == []


@pytest.mark.parametrize("text", ["ci", "key_1"])
def test_a_key_is_shown_by_name_or_id(run, api, text):
    api.add("keys", name="ci", tags={"env": "test"})

    result = run("keys", "get", text)

    assert ["tags", "env=test"] in [line.split() for line in result.stdout.splitlines()]
    assert "team_id" not in result.stdout
    assert json.loads(run("keys", "get", text, "--json").stdout)["name"] == "ci"


def test_a_key_of_the_configuration_goes_by_its_id(run, api):
    api.records["keys"]["config/bench"] = {"id": "config/bench", "name": "bench", "limits": []}

    assert json.loads(run("keys", "get", "config/bench", "--json").stdout)["name"] == "bench"


def limit(kind, unit, amount):
    return {"kind": f"LIMIT_KIND_{kind}", "unit": f"WINDOW_UNIT_{unit}", "amount": str(amount)}


def test_an_update_adds_limits_and_tags_and_replaces_lists(run, api):
    key_id = api.add(
        "keys",
        name="ci",
        tags={"a": "1", "b": "2"},
        limits=[limit("REQUESTS", "MINUTE", 600), limit("COST", "MONTH", 10**9)],
        allowed_models=["x"],
        etag="7",
    )

    result = run(
        *("keys", "update", "ci", "--rpm", "100", "--tag", "b=3", "--model", "y", "--name", "new"),
    )

    assert result.exit_code == 0
    body = changed(api)
    assert (body["id"], body["etag"], body["name"]) == (key_id, "7", "new")
    assert body["tags"] == {"a": "1", "b": "3"}
    assert body["allowed_models"] == ["y"]
    amounts = {limit["kind"]: limit["amount"] for limit in body["limits"]}
    assert amounts == {"LIMIT_KIND_COST": "1000000000", "LIMIT_KIND_REQUESTS": "100"}


def test_a_soft_limit_stands_beside_one_that_refuses(run, api):
    api.add("keys", name="ci", limits=[limit("REQUESTS", "MINUTE", 600)])

    run("keys", "update", "ci", "--limit", "requests/minute=500,enforce=soft")

    limits = [(each["amount"], each["enforcement"]) for each in changed(api)["limits"]]
    assert limits == [("600", "ENFORCEMENT_NORMAL"), ("500", "ENFORCEMENT_SOFT")]


def test_an_update_empties_what_it_is_told_to(run, api):
    api.add("keys", name="ci", tags={"a": "1"}, limits=[limit("REQUESTS", "MINUTE", 600)])

    run(
        *("keys", "update", "ci", "--clear", "limits", "--clear", "tags", "--clear", "models"),
        *("--clear", "roles", "--clear", "networks", "--clear", "expiry", "--tag", "b=2"),
    )

    body = changed(api)
    del body["id"], body["etag"]
    assert body == {
        "limits": [],
        "tags": {"b": "2"},
        "allowed_models": [],
        "roles": [],
        "allowed_networks": [],
        "expire_time": None,
    }


@pytest.mark.parametrize("group", ["keys", "teams", "users", "organizations"])
def test_an_update_of_nothing_is_a_usage_error(run, api, group):
    api.add(group, name="ci")

    result = run(group, "update", "ci")

    assert result.exit_code == 2
    assert "nothing to change" in result.stderr


def test_a_revoked_key_goes_by_its_name_until_another_one_has_it(run, api):
    old = api.add("keys", name="ci", state="KEY_STATE_REVOKED")
    assert json.loads(run("keys", "get", "ci", "--json").stdout)["id"] == old
    new = api.add("keys", name="ci")

    assert json.loads(run("keys", "get", "ci", "--json").stdout)["id"] == new


def test_a_key_is_revoked(run, api):
    api.add("keys", name="ci")

    result = run("keys", "revoke", "ci")

    assert (result.exit_code, result.stdout) == (0, "key_1 (ci) is revoked\n")
    assert api.records["keys"]["key_1"]["state"] == "KEY_STATE_REVOKED"
    assert json.loads(run("keys", "revoke", "ci", "--json").stdout)["id"] == "key_1"


@pytest.mark.parametrize(
    ("options", "overlap"),
    [([], "0s"), (["--overlap", "1h"], "3600s"), (["--overlap", "250ms"], "0.25s")],
)
def test_a_rotated_key_is_printed_once(run, api, options, overlap):
    api.add("keys", name="ci")

    result = run("keys", "rotate", "ci", "--json", *options)

    assert json.loads(result.stdout)["key"] == "mg-rotated"
    assert result.stderr == NOTE
    assert created(api) == {"overlap": overlap}


@pytest.mark.parametrize("group", ["keys", "teams", "users", "organizations"])
def test_a_record_is_deleted(run, api, group):
    record_id = api.add(group, name="ci")

    result = run(group, "delete", "ci")

    assert (result.exit_code, result.stdout) == (0, f"{record_id} is deleted\n")
    assert api.records[group] == {}
    assert run(group, "delete", record_id).exit_code == 1


def test_a_team_has_limits(run, api):
    result = run("teams", "create", "--name", "search", "--budget", "500", "--per", "month")

    assert result.exit_code == 0
    assert created(api)["limits"][0]["amount"] == str(500 * 10**9)
    assert "cost/month=500" in result.stdout
    assert "cost/month=500" in run("teams", "list").stdout


def test_a_user_is_a_member_of_teams(run, api):
    acme = api.add("organizations", name="acme")
    team = api.add("teams", name="search", organization_id=acme)

    run(
        *("users", "create", "--name", "ada", "--email", "ada@example.com", "--role", "viewer"),
        *("--organization", "acme", "--team", "search"),
    )

    assert created(api) == {
        "name": "ada",
        "email": "ada@example.com",
        "roles": ["viewer"],
        "organization_id": acme,
        "team_ids": [team],
    }


def test_what_a_user_has_can_be_taken_away(run, api):
    api.add("users", name="ada", email="a@b.c", roles=["viewer"], team_ids=["team_1"])

    run("users", "update", "ada", "--clear", "email", "--clear", "teams", "--role", "team-admin")

    body = changed(api)
    assert (body["email"], body["team_ids"], body["roles"]) == ("", [], ["team-admin"])


def test_model_groups_of_the_same_name_are_replaced(run, api):
    groups = [{"name": "cheap", "models": ["a"]}, {"name": "best", "models": ["b"]}]
    api.add("organizations", name="acme", model_groups=groups)

    run("organizations", "update", "acme", "--model-group", "cheap=gpt-*-mini,llama")

    assert changed(api)["model_groups"] == [
        {"name": "cheap", "models": ["gpt-*-mini", "llama"]},
        {"name": "best", "models": ["b"]},
    ]
    assert "cheap=gpt-*-mini,llama" in run("organizations", "list").stdout


def test_the_default_organization_needs_no_looking_up(run, api):
    run("teams", "create", "--name", "a", "--organization", "default")

    assert created(api) == {"name": "a", "organization_id": "default"}
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("status", "message", "said"),
    [
        (409, "the key was changed meanwhile: read it again", "read it again (HTTP 409)"),
        (400, "limits[0]: too much", "limits[0]: too much (HTTP 400)"),
        (401, "the key is not known.", "set MESHGATE_ADMIN_KEY, or name the gateway's --data-dir"),
        (503, "the records of auth cannot be reached", "(HTTP 503)"),
    ],
)
def test_a_refusal_is_told_in_one_sentence(run, api, status, message, said):
    api.refusal = (status, message)

    result = run("keys", "create", "--name", "ci")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


@pytest.mark.parametrize("group", ["keys", "teams", "users", "organizations"])
def test_every_command_says_what_it_does(run, group):
    listed = run(group, "--help").stdout

    for command in ("create", "list", "get", "update", "delete"):
        assert command in listed
        assert "Examples:" in run(group, command, "--help").stdout
