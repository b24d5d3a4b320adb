"""The ledger of a whole gateway: every request is in it once, with what the upstream said."""

import asyncio
import json
import os
import secrets
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_process import ADMIN_KEY, Gateway, running_gateway
from mesh.books import locked, rows, total
from mesh.waiting import until
from quota.ledger.usage import check_books, database_at

from meshgate.quota.ledger.labels import Kind

pytestmark = pytest.mark.mesh

CHAT = "/v1/chat/completions"
LINES = f"""
    SELECT sum(requests), sum(input_tokens), sum(output_tokens), sum(unpriced_charges)
    FROM ledger_lines JOIN ledger_labels ON label_id = "key"
    WHERE kind = {int(Kind.KEY)} AND text = '{{key_id}}'
"""
WAYS = {"mesh": (), "two-processes": ("--compact", "--workers", "2")}


@pytest.fixture(scope="module", params=WAYS)
def gateway(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    upstream_origin: str,
) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("ledger")
    with running_gateway(directory, upstream_origin, *WAYS[request.param]) as gateway:
        yield gateway


class Customer:
    """A key, and what the upstream answered to it."""

    def __init__(self, gateway: Gateway, key_id: str, secret: str) -> None:
        self._gateway = gateway
        self._secret = secret
        self.key_id = key_id
        self.answered = [0, 0, 0]

    @classmethod
    async def make(cls, gateway: Gateway, *limits: dict[str, Any]) -> "Customer":
        body = {"name": secrets.token_hex(6), "limits": list(limits)}
        async with gateway.client(ADMIN_KEY) as admin:
            made = (await admin.post("/admin/v1/keys", json=body)).json()
        return cls(gateway, made["key"]["id"], made["secret"])

    async def ask(self, number: int) -> httpx.Response:
        """A request, plain or streamed, on a connection of its own; noted if it is answered."""
        body: dict[str, Any] = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": " ".join(["word"] * (number + 1))}],
        }
        if number % 2:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        async with self._gateway.client(self._secret) as client:
            answer = await client.post(CHAT, json=body)
        if answer.status_code != 200:
            return answer
        usage = _usage(answer.text) if number % 2 else answer.json()["usage"]
        said = (1, usage["prompt_tokens"], usage["completion_tokens"])
        self.answered = [before + more for before, more in zip(self.answered, said, strict=True)]
        return answer

    async def ask_together(self, numbers: Sequence[int]) -> None:
        answers = await asyncio.gather(*(self.ask(number) for number in numbers))
        assert [answer.text for answer in answers if answer.status_code != 200] == []

    def booked(self) -> list[int]:
        """What the ledger has of it: requests, tokens read and tokens written."""
        [(requests, read, written, _)] = rows(self._gateway, LINES.format(key_id=self.key_id))
        return [requests or 0, read or 0, written or 0]

    async def all_is_booked(self) -> bool:
        return self.booked()[0] >= self.answered[0]


def _usage(stream: str) -> dict[str, int]:
    events = [line.removeprefix("data: ") for line in stream.splitlines() if "usage" in line]
    usage: dict[str, int] = json.loads(events[-1])["usage"]
    return usage


async def check_ledger(gateway: Gateway) -> None:
    """That its chains hold, and that nothing lacks its place."""
    async with database_at(f"sqlite:///{gateway.directory / 'data' / 'ledger.sqlite'}") as database:
        await check_books(database)


async def test_after_so_many_requests_the_ledger_has_so_many_entries_and_what_was_answered(
    gateway: Gateway,
) -> None:
    free = await Customer.make(gateway)
    limited = await Customer.make(gateway, total("REQUESTS", 10**6), total("TOKENS", 10**9))

    await asyncio.gather(free.ask_together(range(20)), limited.ask_together(range(20, 40)))
    await until(free.all_is_booked)
    await until(limited.all_is_booked)

    assert free.booked() == free.answered
    assert limited.booked() == limited.answered
    assert (free.answered[0], limited.answered[0]) == (20, 20)
    await check_ledger(gateway)


@pytest.mark.parametrize("gateway", ["mesh"], indirect=True)
async def test_a_quota_that_is_killed_again_and_again_books_everything_once(
    gateway: Gateway,
) -> None:
    customer = await Customer.make(gateway)
    last = 0

    for begin in range(0, 60, 20):
        asking = asyncio.create_task(customer.ask_together(range(begin, begin + 20)))
        last = await killed(gateway, last)
        await asking
    await until(customer.all_is_booked)

    assert customer.answered[0] == 60
    assert customer.booked() == customer.answered
    await check_ledger(gateway)


async def killed(gateway: Gateway, last: int) -> int:
    """Kill quota, once it runs again after the last time; gives the process."""

    async def runs_anew() -> bool:
        return quota(gateway) not in {last, 0}

    await until(runs_anew)
    process = quota(gateway)
    os.kill(process, signal.SIGKILL)
    return process


def quota(gateway: Gateway) -> int:
    """Its process, by the ready file, which says what runs now; 0 for none."""
    try:
        [process] = json.loads((gateway.directory / "ready.json").read_text())["pids"]["quota"]
    except (OSError, ValueError, KeyError):
        return 0
    return int(process)


async def test_while_the_ledger_is_locked_usage_waits_and_too_much_of_it_stops_what_has_limits(
    tmp_path: Path, upstream_origin: str
) -> None:
    variables = {"QUOTA_USAGE_ENTRIES": "20", "LEDGER_TIMEOUT": "1s"}
    with running_gateway(tmp_path, upstream_origin, "--compact", variables=variables) as gateway:
        free = await Customer.make(gateway)
        limited = await Customer.make(gateway, total("REQUESTS", 10**6))
        refused: list[httpx.Response] = []

        async def is_refused() -> bool:
            answer = await limited.ask(0)
            refused.extend([answer] if answer.status_code != 200 else [])
            return bool(refused)

        async def is_served() -> bool:
            return (await limited.ask(0)).status_code == 200

        with locked(gateway.directory / "data" / "ledger.sqlite"):
            await free.ask_together(range(20))
            await until(is_refused)
            await free.ask_together(range(5))
            degraded = await missing(gateway)
        await until(is_served)
        await until(limited.all_is_booked)
        await until(free.all_is_booked)

        assert refused[0].status_code == 503
        assert refused[0].json()["error"]["message"].startswith("the ledger is behind")
        assert int(refused[0].headers["retry-after"]) >= 1
        assert degraded == ["the database of the ledger does not answer"]
        assert limited.booked() == limited.answered
        assert free.booked() == free.answered
        await check_ledger(gateway)


async def missing(gateway: Gateway) -> list[str]:
    """What quota says that it lacks."""
    async with gateway.client(ADMIN_KEY) as admin:
        status = (await admin.get("/meshgate/v1/status")).json()
    [quota] = [service for service in status["services"] if service["service"] == "quota"]
    [instance] = quota["instances"]
    reasons: list[str] = instance["degraded_reasons"]
    return reasons
