"""Lists of records, page by page, on every database."""

import base64
from dataclasses import replace

import pytest
from auth.opened_records import NOW, PEPPER, PEPPERS, key, organization, team, user
from sqlalchemy import insert, text

from meshgate.auth.credentials import Peppers
from meshgate.auth.directory import KeyState, Query
from meshgate.auth.page_tokens import PageTokens, Position
from meshgate.auth.sql.opening import opened
from meshgate.auth.sql.rows import key_values, micros
from meshgate.auth.sql.schema import KEYS, SCHEMA
from meshgate.database.database import Database
from meshgate.runtime.errors import InvalidRequestError


async def all_pages(collection, query=None, page_size=2):
    pages, token = [], ""
    while True:
        page = await collection.list(query or Query(), page_size, token)
        pages.append([record.name for record in page.records])
        token = page.next_page_token
        if not token:
            return pages


@pytest.fixture
async def teams(records):
    for name in ("b", "a", "C", "ä", "a1"):
        await records.directory.teams.create(team(name))
    return records.directory.teams


async def test_pages_come_by_name_and_hold_everything_once(teams):
    assert await all_pages(teams) == [["C", "a"], ["a1", "b"], ["ä"]]


async def test_a_full_last_page_has_no_token(teams):
    page = await teams.list(page_size=5)

    assert (len(page.records), page.next_page_token) == (5, "")


async def test_what_is_made_between_two_pages_moves_nothing(teams):
    first = await teams.list(page_size=2)
    await teams.create(team("B"))

    second = await teams.list(page_size=10, page_token=first.next_page_token)

    assert [record.name for record in second.records] == ["a1", "b", "ä"]


async def test_a_list_goes_on_after_a_record_that_is_gone(teams):
    first = await teams.list(page_size=2)
    await teams.delete(first.records[-1].id)

    second = await teams.list(page_size=10, page_token=first.next_page_token)

    assert [record.name for record in second.records] == ["a1", "b", "ä"]


@pytest.mark.parametrize(
    ("prefix", "names"), [("a", ["a", "a1"]), ("C", ["C"]), ("%", []), ("_", []), ("ä", ["ä"])]
)
async def test_a_prefix_finds_what_begins_with_it_letter_by_letter(teams, prefix, names):
    page = await teams.list(Query(name_prefix=prefix))

    assert [record.name for record in page.records] == names


async def test_what_is_made_in_one_organization_is_not_listed_in_another(records, teams):
    acme = await records.directory.organizations.create(organization())
    await teams.create(team("theirs", organization_id=acme.id))

    assert await all_pages(teams, Query(organization_id=acme.id)) == [["theirs"]]
    assert await all_pages(teams, Query(organization_id="org_nobody")) == [[]]
    assert await all_pages(teams, Query(organization_id="\0")) == [[]]


async def test_the_members_of_a_team_are_listed(records, teams):
    first = (await teams.list()).records[0]
    await records.directory.users.create(user("in", team_ids=(first.id,)))
    await records.directory.users.create(user("out"))

    assert await all_pages(records.directory.users, Query(team_id=first.id)) == [["in"]]


async def test_keys_are_listed_by_team_user_and_state(records):
    directory = records.directory
    core = await directory.teams.create(team())
    ada = await directory.users.create(user())
    await directory.keys.issue(key("of core", team_id=core.id))
    await directory.keys.issue(key("of ada", user_id=ada.id))
    gone = await directory.keys.issue(key("gone", user_id=ada.id))
    await directory.keys.revoke(gone.key.id)

    assert await all_pages(directory.keys, Query(team_id=core.id)) == [["of core"]]
    assert await all_pages(directory.keys, Query(user_id=ada.id)) == [["gone", "of ada"]]
    live = Query(user_id=ada.id, key_state=KeyState.LIVE)
    assert await all_pages(directory.keys, live) == [["of ada"]]
    assert await all_pages(directory.keys, Query(key_state=KeyState.REVOKED)) == [["gone"]]


@pytest.mark.parametrize(
    ("collection", "query"),
    [
        ("organizations", Query(organization_id="default")),
        ("organizations", Query(team_id="team_x")),
        ("teams", Query(team_id="team_x")),
        ("teams", Query(user_id="user_x")),
        ("users", Query(user_id="user_x")),
        ("users", Query(key_state=KeyState.LIVE)),
        ("teams", Query(name_prefix="\0")),
        ("teams", Query(name_prefix="x" * 1_000)),
    ],
)
async def test_a_query_that_has_no_meaning_is_refused(records, collection, query):
    with pytest.raises(InvalidRequestError):
        await getattr(records.directory, collection).list(query)


async def test_a_page_smaller_than_nothing_is_refused(teams):
    with pytest.raises(InvalidRequestError) as caught:
        await teams.list(page_size=-1)

    assert caught.value.field == "page_size"


def signed(content: bytes) -> str:
    return base64.urlsafe_b64encode(PEPPERS.sign(content) + content).decode().rstrip("=")


TOKEN = PageTokens(PEPPERS).token("team", Query(), Position("a", "team_a"))
LIES = {
    "nonsense": "nonsense",
    "not base64": "a b",
    "not ASCII": "ä",
    "cut": TOKEN[:-1],
    "a letter changed": TOKEN[:-2] + ("A" if TOKEN[-2] != "A" else "B") + TOKEN[-1],
    "of another gateway": PageTokens(Peppers("some other pepper")).token(
        "team", Query(), Position("a", "team_a")
    ),
    "of another kind": PageTokens(PEPPERS).token("key", Query(), Position("a", "team_a")),
    "of another query": PageTokens(PEPPERS).token(
        "team", Query(name_prefix="a"), Position("a", "team_a")
    ),
    "of another form": signed(b"[]"),
    "signed nonsense": signed(b"\xff"),
    "enormous": "A" * 1_000_000,
}


@pytest.mark.parametrize("token", LIES.values(), ids=LIES)
async def test_a_token_that_lies_is_refused(teams, token):
    with pytest.raises(InvalidRequestError) as caught:
        await teams.list(page_token=token)

    assert caught.value.field == "page_token"


async def test_a_token_from_before_a_change_of_peppers_is_good():
    newer = PageTokens(Peppers("a pepper that is newer", PEPPER))

    assert newer.position("team", Query(), TOKEN) == Position("a", "team_a")


async def test_ten_thousand_keys_of_a_team_are_listed_and_found_by_index(own_database_url, clock):
    async with opened(own_database_url, PEPPERS, clock, wait_seconds=20.0) as records:
        core = await records.directory.teams.create(team())
        one = (await records.directory.keys.issue(key("k00000", team_id=core.id))).key
        await insert_keys(own_database_url, one, 10_000)
        query = Query(team_id=core.id)

        pages = await all_pages(records.directory.keys, query, page_size=1_000)
        found = await records.directory.keys.list(replace(query, name_prefix="k09999"))

    assert [len(page) for page in pages] == [1_000] * 10
    assert [record.name for record in found.records] == ["k09999"]
    assert "keys_" in await plan(own_database_url, core.id)


async def insert_keys(database_url, one, count):
    now = micros(NOW)
    shared = {
        **key_values(one),
        "secret_hash": b"",
        "last_characters": "",
        "create_time": now,
        "update_time": now,
        "version": 1,
    }
    rows = [
        {**shared, "key_id": f"key_{number}", "name": f"k{number:05}"} for number in range(1, count)
    ]
    database = Database(SCHEMA, database_url, wait_seconds=30)
    async with database.writing() as connection:
        await connection.execute(insert(KEYS), rows)
    async with database.writing() as connection:
        await connection.execute(text("ANALYZE"))
    await database.close()


async def plan(database_url, team_id):
    """How the database finds a page of a team's keys."""
    statement = "SELECT * FROM keys WHERE team_id = :team AND (name, key_id) > ('k05', '') "
    explain = "EXPLAIN QUERY PLAN " if database_url.startswith("sqlite") else "EXPLAIN "
    database = Database(SCHEMA, database_url, wait_seconds=20.0)
    async with database.reading() as connection:
        rows = await connection.execute(
            text(explain + statement + "ORDER BY name, key_id LIMIT 51"), {"team": team_id}
        )
        lines = str(rows.all())
    await database.close()
    return lines
