"""`meshgate usage verify`, `reconcile`, `rebuild-counters` and `erase`."""

import json

import pytest
from cli.fake_usage_api import running_usage_api

VERIFY = "/admin/v1/usage:verify"
RECONCILE = "/admin/v1/usage:reconcile"
REBUILD = "/admin/v1/usage:rebuild_counters"
ERASE = "/admin/v1/usage:erase"


@pytest.fixture
def api(monkeypatch, run, admin_key):
    with running_usage_api() as api:
        monkeypatch.setenv("MESHGATE_URL", api.url)
        yield api


def head(shard=1, sequence=5, chain="aa"):
    return {"shard": shard, "sequence": str(sequence), "chain": chain}


def verified(*heads, faults=()):
    counts = {"entry_count": "50", "erased_count": "2"}
    return {"faults": list(faults), "heads": list(heads), **counts}


def test_a_ledger_that_is_right_is_said_to_be(run, api):
    api.give(VERIFY, verified(), verified(head()))

    result = run("usage", "verify")

    assert result.exit_code == 0
    assert result.stdout == "100 entries, 4 of them erased on demand: all is as it was written\n"
    assert result.stderr.splitlines()[-1] == "looked at 100 entries"


def test_a_fault_is_named_and_ends_with_1(run, api):
    fault = {"shard": 3, "sequence": "7", "message": "the entry is missing"}
    api.give(VERIFY, verified(faults=[fault]))

    result = run("usage", "verify")
    as_json = run("usage", "verify", "--json")

    assert (result.exit_code, as_json.exit_code) == (1, 1)
    assert "shard 3, entry 7: the entry is missing" in result.stdout
    assert json.loads(as_json.stdout)["faults"] == [fault]


def test_heads_that_were_kept_are_given_to_be_compared(run, api, tmp_path):
    file = tmp_path / "heads.json"
    api.give(VERIFY, verified(head(), head(shard=2, sequence=7)))
    run("usage", "verify", "--heads", str(file))

    result = run("usage", "verify", "--against", str(file))

    assert result.exit_code == 0
    assert api.requests[-1][2] == {"kept_links": ["1:5:aa", "2:7:aa"]}


def test_a_file_without_heads_is_refused(run, api, tmp_path):
    file = tmp_path / "heads.json"
    file.write_text('{"heads": [{}]}')

    result = run("usage", "verify", "--against", str(file))

    assert result.exit_code == 1
    assert "holds no heads" in result.stderr


def test_counters_that_differ_are_listed_and_end_with_1(run, api):
    difference = {
        "partition": "acme",
        "subject": "key/k_1",
        "limit": "cost/month",
        "counted": "5",
        "booked": "7",
        "message": "less is counted",
    }
    counts = {"counter_count": "10", "pending_count": "1"}
    api.give(RECONCILE, {"differences": [difference], **counts}, {"differences": [], **counts})

    result = run("usage", "reconcile", "--organization", "org_1")

    assert result.exit_code == 1
    assert "key/k_1" in result.stdout
    assert result.stdout.splitlines()[-1] == "20 counters: 1 differ"
    assert api.requests[0][2] == {"organization_id": ["org_1"]}


def test_counters_that_hold_what_the_books_say_end_with_0(run, api):
    api.give(RECONCILE, {"differences": [], "counter_count": "10"})

    result = run("usage", "reconcile")

    assert (result.exit_code, result.stdout) == (0, "10 counters: all hold what the books say\n")


def test_counters_are_rebuilt(run, api):
    api.give(REBUILD, {"counter_count": "1000", "raised_count": "3"})

    result = run("usage", "rebuild-counters")

    assert result.stdout == "1,000 counters looked at, 3 of them raised\n"
    assert api.requests[0][3] == {"organization_id": ""}


def test_a_user_is_erased_when_it_is_confirmed(run, api):
    api.give(ERASE, {"erased_count": "12"})

    refused = run("usage", "erase", "--user", "user_1", standard_input="n\n")
    assert (refused.exit_code, api.requests) == (1, [])
    result = run("usage", "erase", "--user", "user_1", "--yes")

    assert result.stdout == "12 entries of user_1 are erased\n"
    assert api.requests[0][3] == {"user_id": "user_1"}


@pytest.mark.parametrize("options", [(), ("--user", "user_1", "--organization", "org_1")])
def test_it_must_be_said_whose_usage_to_erase(run, api, options):
    result = run("usage", "erase", "--yes", *options)

    assert result.exit_code == 2
    assert api.requests == []
