"""Prepaid balances end to end: what was paid for is answered, and not one request more."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from gateway_process import ADMIN_KEY, Gateway, running_gateway
from mesh.waiting import until
from upstream import Behaviour, RemoteUpstream
from upstream.behaviours import Usage

pytestmark = pytest.mark.mesh

CHAT = "/v1/chat/completions"
TOKENS = 10
COST_NANOS = TOKENS * 1_000
PRICED = """
  priced:
    targets: [{provider: main, model: gpt-4o-mini, prices: {input: 0, output: 1}}]
    retries: {attempts: 1}
guardrails:
"""
# What is written is all that costs, and no more is written than the client allows: so a request
# holds what it will cost, neither more nor less.
BODY = {
    "model": "priced",
    "max_tokens": TOKENS,
    "messages": [{"role": "user", "content": "hello"}],
}
WAYS = {"mesh": ["--workers", "2"], "compact": ["--compact", "--workers", "2"]}


@pytest.fixture(scope="module", params=WAYS)
def gateway(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    upstream_origin: str,
) -> Iterator[Gateway]:
    """Two processes of routing, and a model whose answers cost something."""
    directory = tmp_path_factory.mktemp(f"balances-{request.param}")
    with running_gateway(directory, upstream_origin, *WAYS[request.param]) as gateway:
        before = gateway.configuration.read_text()
        gateway.configuration.write_text(before.replace("\nguardrails:\n", PRICED))
        yield gateway


@dataclass
class Administrator:
    """Makes records and tops up their balances."""

    client: httpx.AsyncClient

    async def made(self, kind: str, **fields: Any) -> dict[str, Any]:
        record = {"name": f"test-{secrets.token_hex(4)}", **fields}
        return await self.sent("POST", f"/admin/v1/{kind}", record)

    async def topped_up(self, subject: str, requests: int, **fields: Any) -> dict[str, Any]:
        """The answer to a top-up of what so many requests cost."""
        top_up = {
            "top_up_id": secrets.token_hex(8),
            "amount_nanos": str(requests * COST_NANOS),
            **fields,
        }
        return await self.sent("POST", f"/admin/v1/balances/{subject}:topUp", top_up)

    async def sent(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = await self.client.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        read: dict[str, Any] = answer.json()
        return read


@pytest.fixture
async def admin(gateway: Gateway, upstream: RemoteUpstream) -> AsyncIterator[Administrator]:
    await upstream.script("hello", Behaviour(usage=Usage(7, TOKENS)))
    await until(lambda: is_priced(gateway))
    async with gateway.client(ADMIN_KEY) as client:
        yield Administrator(client)


async def is_priced(gateway: Gateway) -> bool:
    return (await answered(gateway, gateway.key, 4))[200] == 4


async def chat(gateway: Gateway, key: str) -> httpx.Response:
    async with gateway.client(key) as client:
        return await client.post(CHAT, json=BODY)


async def answered(gateway: Gateway, key: str, count: int) -> Counter[int]:
    """The statuses of so many requests at once, each on a connection of its own."""
    answers = await asyncio.gather(*(chat(gateway, key) for _ in range(count)))
    return Counter(answer.status_code for answer in answers)


async def test_a_key_gets_what_was_paid_for_and_goes_on_after_a_top_up(
    gateway: Gateway, admin: Administrator
) -> None:
    key = await admin.made("keys")
    subject, secret = f"key/{key['key']['id']}", key["secret"]
    await admin.topped_up(subject, 5, enforcement="ENFORCEMENT_STRICT")

    first = await answered(gateway, secret, 20)
    refused = await chat(gateway, secret)
    await admin.topped_up(subject, 3)
    await until(lambda: is_let_in(gateway, secret))
    then = await answered(gateway, secret, 12)

    assert first == {200: 5, 429: 15}
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (429, "insufficient_quota")
    assert f"0.00005 USD/total of {subject} is reached: 0 USD left" in error["message"]
    assert then == {200: 2, 429: 10}


async def is_let_in(gateway: Gateway, key: str) -> bool:
    return (await chat(gateway, key)).status_code == 200


async def test_all_keys_of_a_team_use_its_balance_one_request_after_another(
    gateway: Gateway, admin: Administrator
) -> None:
    team = (await admin.made("teams"))["team"]["id"]
    keys = [(await admin.made("keys", team_id=team))["secret"] for _ in range(2)]
    await admin.topped_up(f"team/{team}", 4)

    statuses = [(await chat(gateway, keys[turn % 2])).status_code for turn in range(6)]
    refused = await chat(gateway, keys[0])

    assert statuses == [200] * 4 + [429] * 2
    assert f"of team/{team} is reached" in refused.json()["error"]["message"]


async def test_balances_are_read_through_the_public_port(admin: Administrator) -> None:
    key_id = (await admin.made("keys"))["key"]["id"]
    once = {"top_up_id": secrets.token_hex(8), "note": "invoice 7"}
    made = await admin.topped_up(f"key/{key_id}", 2, **once)
    again = await admin.topped_up(f"key/{key_id}", 2, **once)

    balance = (await admin.sent("GET", f"/admin/v1/balances/key/{key_id}"))["balance"]
    top_ups = (await admin.sent("GET", f"/admin/v1/balances/key/{key_id}:topUps"))["top_ups"]
    listed = (await admin.sent("GET", "/admin/v1/balances?page_size=1000"))["balances"]

    assert made == again
    assert balance == made["balance"]
    assert (balance["amount_nanos"], balance["enforcement"]) == ("20000", "ENFORCEMENT_NORMAL")
    assert [(one["id"], one["note"]) for one in top_ups] == [(once["top_up_id"], "invoice 7")]
    assert balance in listed


async def test_a_key_of_the_configuration_has_a_balance_too(
    gateway: Gateway, admin: Administrator
) -> None:
    body = {"top_up_id": secrets.token_hex(8), "amount_nanos": "0"}
    await admin.sent("POST", "/admin/v1/balances/key/config/test:topUp", body)

    await until(lambda: is_refused(gateway))
    await admin.topped_up("key/config/test", 1_000_000)

    await until(lambda: is_let_in(gateway, gateway.key))


async def is_refused(gateway: Gateway) -> bool:
    return (await chat(gateway, gateway.key)).status_code == 429
