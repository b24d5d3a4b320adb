"""Keys and their records while a database is gone or locked, auth is away, or there are very many."""

import asyncio
import contextlib
import os
import secrets
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from gateway_process import ADMIN_KEY, Gateway, running_gateway
from mesh.waiting import until
from postgres_server import PostgresServer, running_postgres

pytestmark = pytest.mark.mesh

BOUND_SECONDS = 30
KEYS = "/admin/v1/keys"
CHAT = {"model": "one-try", "messages": [{"role": "user", "content": "hello"}]}
MANY = 10_000
MADE_UP = 600


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, upstream_origin: str, postgres: PostgresServer
) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("record-faults")
    variables = {"AUTH_DATABASE_URL": postgres.url()}
    with running_gateway(directory, upstream_origin, variables=variables) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, upstream_origin: str) -> Iterator[Gateway]:
    """A gateway with its records in SQLite."""
    directory = tmp_path_factory.mktemp("many-keys")
    with running_gateway(directory, upstream_origin, "--compact") as gateway:
        yield gateway


@pytest.fixture
async def admin(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client(ADMIN_KEY) as client:
        yield client


@pytest.fixture
async def small_admin(small: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with small.client(ADMIN_KEY) as client:
        yield client


async def made(admin: httpx.AsyncClient, kind: str = "keys", **fields: Any) -> dict[str, Any]:
    record = {"name": secrets.token_hex(6), **fields}
    answer = await admin.post(f"/admin/v1/{kind}", json=record)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def chat(gateway: Gateway, key: str) -> httpx.Response:
    async with gateway.client(key) as client:
        return await client.post("/v1/chat/completions", json=CHAT)


async def is_administered(admin: httpx.AsyncClient) -> bool:
    return (await admin.get(KEYS)).status_code == 200


async def known_key(gateway: Gateway, admin: httpx.AsyncClient) -> str:
    """A key that routing knows, with everything that was ever told of it behind it."""
    secret: str = (await made(admin))["secret"]
    later = await made(admin)
    await admin.post(f"{KEYS}/{later['key']['id']}:revoke")

    async def has_died() -> bool:
        return (await chat(gateway, later["secret"])).status_code == 401

    asked = 0

    async def is_known() -> bool:
        # Auth itself told that the other one has died; notices of both come within a quarter of a second,
        # and have routing forget what it knew. So it is asked for four times as long.
        nonlocal asked
        assert (await chat(gateway, secret)).status_code == 200
        asked += 1
        return asked == 20

    await until(has_died)
    await until(is_known)
    return secret


def check_unavailable(answer: httpx.Response) -> None:
    """503 in OpenAI's dialect."""
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["message"] == "the auth service does not answer"
    assert int(answer.headers["retry-after"]) >= 1


def check_status(answer: httpx.Response) -> None:
    """503 as a google.rpc.Status."""
    assert answer.status_code == 503, answer.text
    [info, *_] = answer.json()["details"]
    assert info["reason"] == "ERROR_REASON_SERVICE_UNAVAILABLE"
    assert answer.json()["message"].startswith("the records of auth cannot be reached: ")
    assert int(answer.headers["retry-after"]) >= 1


def made_up_key() -> str:
    """One of the form of a key."""
    letters = "".join(secrets.choice("abcdefghjkmnpqrstvwxyz23456789") for _ in range(20))
    return f"mg-{letters}-{secrets.token_urlsafe(32)}"


class TestPostgres:
    async def test_a_key_of_a_team_is_kept_listed_and_served(
        self, gateway: Gateway, admin: httpx.AsyncClient
    ) -> None:
        team = (await made(admin, "teams"))["team"]
        key = await made(admin, team_id=team["id"])

        listed = (await admin.get(KEYS, params={"team_id": team["id"]})).json()["keys"]

        assert [each["id"] for each in listed] == [key["key"]["id"]]
        assert (await chat(gateway, key["secret"])).status_code == 200

    async def test_while_it_is_gone_known_keys_go_on_and_changes_are_refused(
        self, gateway: Gateway, admin: httpx.AsyncClient, postgres: PostgresServer
    ) -> None:
        never_used = (await made(admin))["secret"]
        known = await known_key(gateway, admin)

        postgres.kill()
        try:
            assert (await chat(gateway, known)).status_code == 200
            check_unavailable(await chat(gateway, never_used))
            check_status(await admin.post(KEYS, json={"name": "late"}))
            check_status(await admin.get(KEYS))
        finally:
            postgres.start()

        await until(lambda: is_administered(admin))

        async def is_known() -> bool:
            return (await chat(gateway, never_used)).status_code == 200

        await until(is_known)
        await made(admin, name="late")  # it was not made before

    async def test_made_up_keys_are_refused_without_it(
        self, gateway: Gateway, admin: httpx.AsyncClient, postgres: PostgresServer
    ) -> None:
        known = await known_key(gateway, admin)
        statuses: Counter[int] = Counter()

        async def guess(client: httpx.AsyncClient) -> None:
            for _ in range(MADE_UP // 20):
                headers = {"authorization": f"Bearer {made_up_key()}"}
                answer = await client.post("/v1/chat/completions", json=CHAT, headers=headers)
                statuses[answer.status_code] += 1

        postgres.kill()
        try:
            async with gateway.client(None) as client:
                guesses = asyncio.gather(*(guess(client) for _ in range(20)))
                good = [(await chat(gateway, known)).status_code for _ in range(20)]
                await guesses
        finally:
            postgres.start()

        assert statuses == {401: MADE_UP}
        assert set(good) == {200}
        await until(lambda: is_administered(admin))


class TestAuth:
    async def test_while_it_is_frozen_nobody_waits_for_long(
        self, gateway: Gateway, admin: httpx.AsyncClient
    ) -> None:
        # One of the configuration: the notice of a new one could still come, and have it forgotten.
        known = gateway.key
        assert (await chat(gateway, known)).status_code == 200
        [auth] = gateway.ready["pids"]["auth"]

        os.kill(auth, signal.SIGSTOP)
        try:
            async with asyncio.timeout(BOUND_SECONDS):
                answers = await asyncio.gather(
                    chat(gateway, known), chat(gateway, made_up_key()), admin.get(KEYS)
                )
        finally:
            os.kill(auth, signal.SIGCONT)

        assert answers[0].status_code == 200
        check_unavailable(answers[1])
        assert answers[2].status_code in {503, 504}
        assert set(answers[2].json()) == {"code", "message", "details"}
        await until(lambda: is_administered(admin))


@contextlib.contextmanager
def database(gateway: Gateway) -> Iterator[sqlite3.Connection]:
    """Its file, from another process than the gateway's."""
    path = gateway.directory / "data" / "auth.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


class TestSqlite:
    async def test_while_another_process_locks_it_everything_but_changes_goes_on(
        self, small: Gateway, small_admin: httpx.AsyncClient
    ) -> None:
        never_used = (await made(small_admin))["secret"]

        with database(small) as other:
            other.execute("BEGIN EXCLUSIVE")
            check_status(await small_admin.post(KEYS, json={"name": "late"}))
            listed = await small_admin.get(KEYS)
            used = await chat(small, never_used)
            other.execute("ROLLBACK")

        assert (listed.status_code, used.status_code) == (200, 200)
        await made(small_admin, name="late")  # it was not made before

    async def test_ten_thousand_keys_of_a_team_are_listed_and_found(
        self, small: Gateway, small_admin: httpx.AsyncClient
    ) -> None:
        team_id = (await made(small_admin, "teams"))["team"]["id"]
        key = await made(small_admin, team_id=team_id)
        with database(small) as other:
            _multiply(other, key["key"]["id"], MANY - 1)

        ids: list[str] = []
        query: dict[str, Any] = {"team_id": team_id, "page_size": 1_000, "page_token": ""}
        while not ids or query["page_token"]:
            page = (await small_admin.get(KEYS, params=query)).json()
            ids += [each["id"] for each in page["keys"]]
            query["page_token"] = page["next_page_token"]

        assert (len(ids), len(set(ids))) == (MANY, MANY)
        assert (await chat(small, key["secret"])).status_code == 200
        limit = {"kind": "LIMIT_KIND_REQUESTS", "amount": 0, "unit": "WINDOW_UNIT_DAY"}
        await small_admin.patch(f"/admin/v1/teams/{team_id}", json={"limits": [limit]})

        async def is_refused() -> bool:
            return (await chat(small, key["secret"])).status_code == 429

        await until(is_refused)


TOKENS = {"kind": "LIMIT_KIND_TOKENS", "amount": 5}
CONTRADICTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "a count without a window": ("unit", TOKENS),
    "concurrency in a window": (
        "unit",
        {"kind": "LIMIT_KIND_CONCURRENCY", "amount": 5, "unit": "WINDOW_UNIT_DAY"},
    ),
    "a total that rolls": (
        "mode",
        TOKENS | {"unit": "WINDOW_UNIT_TOTAL", "mode": "WINDOW_MODE_ROLLING"},
    ),
    "a rolling window in a time zone": (
        "time_zone",
        TOKENS | {"unit": "WINDOW_UNIT_HOUR", "time_zone": "Europe/Berlin"},
    ),
    "more money than can be counted": (
        "amount",
        {"kind": "LIMIT_KIND_COST", "amount": 10**16, "unit": "WINDOW_UNIT_DAY"},
    ),
}


@pytest.mark.parametrize("kind", ["key", "team", "user", "organization"])
@pytest.mark.parametrize(("field", "limit"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
async def test_a_limit_that_contradicts_itself_is_named(
    small_admin: httpx.AsyncClient, kind: str, field: str, limit: dict[str, Any]
) -> None:
    body = {"name": "contradiction", "limits": [TOKENS | {"unit": "WINDOW_UNIT_DAY"}, limit]}

    answer = await small_admin.post(f"/admin/v1/{kind}s", json=body)

    assert answer.status_code == 400
    [_, request] = answer.json()["details"]
    assert request["field_violations"][0]["field"] == f"{kind}.limits[1].{field}"


def _multiply(connection: sqlite3.Connection, key_id: str, count: int) -> None:
    """As many more keys as this one, that nobody has the secrets of."""
    columns = [row[1] for row in connection.execute("PRAGMA table_info(keys)")]
    own = {
        "key_id": "'key_many' || n",
        "name": "'many-' || n",
        "secret_hash": "randomblob(32)",
    }
    values = ", ".join(own.get(name, name) for name in columns)
    connection.execute(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?) "
        f"INSERT INTO keys ({', '.join(columns)}) SELECT {values} FROM numbers, keys WHERE key_id = ?",
        (count, key_id),
    )
