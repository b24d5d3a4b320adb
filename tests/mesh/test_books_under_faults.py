"""Whatever dies while requests run: the books say what was asked and answered, and no limit is passed.

Each test lets callers of two keys ask until both are refused: one runs out of its budget, the other of
its requests. In the middle something is killed, emptied or locked. When the dust has settled:

- whatever the upstream was asked has its record, or is booked as given up where routing had not handed
  it on when it was killed; all of it is within the limits;
- a record is of a request that was made, no request has two, and no more of them have charges than the
  upstream was asked for;
- the record of an answer that a caller got in full has just the usage that the caller was told;
- the chains of the ledger are whole (`usage:verify`) and every counter holds what they say
  (`usage:reconcile`).

A store that is emptied takes with it what had not come to the ledger yet: that alone is booked nowhere.

`pytest -s tests/mesh/test_books_under_faults.py` prints the figures.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from gateway_process import ADMIN_KEY, Gateway, running_gateway
from mesh.administration import Admin
from mesh.books import locked, rows, total, written
from mesh.load import Load
from mesh.waiting import until
from redis_servers import RedisServer, running_server
from upstream import Behaviour, Match, RemoteUpstream

from meshgate.cli.redis_server import find_server
from meshgate.quota.ledger.labels import Kind
from meshgate.v1 import usage_record_pb2 as pb

pytestmark = [pytest.mark.mesh, pytest.mark.timeout(120)]

BOUND_SECONDS = 60
ALLOWED = 40
RUNNING, RUNNING_SECONDS = 4, 6.0
INPUT_NANOS, OUTPUT_NANOS = 1_000, 2_000
# An answer has nine words, and a question six or so.
BUDGET_NANOS = 45 * (9 * OUTPUT_NANOS + 8 * INPUT_NANOS)
PLENTY = 10**12
SHORT = {"ROUTING_HOLD_TTL": "2s", "LEDGER_TIMEOUT": "1s"}
MODELS = """
  everything:
    targets: [{provider: main, model: up-1, prices: {input: 1, output: 2}}]
    retries: {attempts: 1}
    cache: {mode: exact, ttl: 1h}
    guardrails: [lenient]
"""
BOOKED = f"""
    SELECT sum(requests), sum(cost_nanos), sum(unpriced_charges)
    FROM ledger_lines JOIN ledger_labels ON label_id = "key"
    WHERE kind = {int(Kind.KEY)} AND text = '{{key_id}}'
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One that is brought, so that nobody starts it again but the test."""
    with running_server(find_server(), tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, upstream_origin: str, store: RedisServer
) -> Iterator[Gateway]:
    """What a dead process held comes free in two seconds."""
    directory = tmp_path_factory.mktemp("books-under-faults")
    variables = SHORT | {"REDIS_URL": store.url}
    with running_gateway(directory, upstream_origin, variables=variables, models=MODELS) as gateway:
        yield gateway


@pytest.fixture
async def admin(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client(ADMIN_KEY) as client:
        yield client


def cost(usage: tuple[int, int]) -> int:
    return usage[0] * INPUT_NANOS + usage[1] * OUTPUT_NANOS


@dataclass
class Scene:
    """What runs, who asks, and what is booked of it.

    Attributes:
        lost: Requests whose records may have been lost with what was killed.
        forgotten: Of these, all that may have been lost without a trace.
    """

    gateway: Gateway
    store: RedisServer
    upstream: RemoteUpstream
    loads: list[Load]
    lost: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)

    @property
    def answered(self) -> int:
        return sum(load.statuses[200] for load in self.loads)

    @property
    def begun(self) -> set[str]:
        return {name for load in self.loads for name in load.told}

    def booked_names(self) -> set[str]:
        """The requests whose records are in the ledger."""
        return {record.request_id for record in written(self.gateway)}

    async def has_answered(self, count: int) -> bool:
        return self.answered >= count

    async def has_refused(self) -> bool:
        """Whether some request was refused as something does not answer."""
        return any(load.statuses[503] for load in self.loads)

    async def asked(self, load: Load) -> list[str]:
        """The ids of the requests that have come to the upstream."""
        names = [each.header("x-request-id") or "" for each in await self.upstream.requests()]
        return [name for name in names if name.startswith(f"{load.key_id}-")]

    def booked(self, load: Load) -> tuple[int, int, int]:
        """Requests, nano-dollars and charges without a price."""
        [sums] = rows(self.gateway, BOOKED.format(key_id=load.key_id))
        requests, cost_nanos, unpriced = (each or 0 for each in sums)
        return requests, cost_nanos, unpriced

    async def is_settled(self) -> bool:
        """Whether nothing is under way to the ledger, and all that was asked has come there."""
        async with self.store.client() as client:
            names = [name async for name in client.scan_iter(match="{q*}:usage")]
            if any([await client.xlen(name) for name in names]):
                return False
        asked = {name for load in self.loads for name in await self.asked(load)}
        return asked - self.lost <= self.booked_names() and all(
            [await self._is_covered(load) for load in self.loads]
        )

    async def _is_covered(self, load: Load) -> bool:
        return len(set(await self.asked(load)) - self.forgotten) <= self.booked(load)[0]


Fault = Callable[[Scene], Awaitable[None]]


def killing(name: str) -> Fault:
    """Kill all processes of a service; they are started again by themselves."""

    async def kill(scene: Scene) -> None:
        booked = scene.booked_names()
        pids = json.loads((scene.gateway.directory / "ready.json").read_text())["pids"][name]
        for pid in pids if isinstance(pids, list) else [pids]:
            os.kill(pid, signal.SIGKILL)
        if name == "routing":
            # What it had not handed on is not in a record, but booked as given up.
            scene.lost = scene.begun - booked

    return kill


async def kill_store(scene: Scene) -> None:
    """Kill it, and bring it back with its append-only file once somebody was refused."""
    scene.store.kill()
    await until(scene.has_refused)
    scene.store.restart()


async def empty_store(scene: Scene) -> None:
    """What waited for the ledger is lost, and what was held."""
    booked = scene.booked_names()
    async with scene.store.client() as client:
        await client.flushall()
    scene.lost = scene.forgotten = scene.begun - booked


async def lock_ledger(scene: Scene) -> None:
    """Lock its database for so many answers."""
    most = scene.answered + ALLOWED // 2
    with locked(scene.gateway.directory / "data" / "ledger.sqlite"):
        await until(lambda: scene.has_answered(most))


FAULTS: dict[str, Fault] = {
    **{
        name: killing(name)
        for name in ("quota", "routing", "provider", "auth", "cache", "guardrails", "envoy")
    },
    "ledger locked": lock_ledger,
    "store killed": kill_store,
    "store emptied": empty_store,
}

ANSWERS_ARE_SAFE = FAULTS.keys() - {"routing", "provider", "envoy"}
"""Faults by which no caller loses an answer that the upstream has given."""


@pytest.mark.parametrize("fault", FAULTS)
async def test_after_a_fault_the_books_say_what_was_asked_and_answered(
    gateway: Gateway,
    store: RedisServer,
    admin: httpx.AsyncClient,
    upstream: RemoteUpstream,
    fault: str,
) -> None:
    scene = await make_scene(gateway, store, admin, upstream)
    began = time.monotonic()

    async with asyncio.TaskGroup() as asking:
        for load in scene.loads:
            asking.create_task(load.run())
        await until(lambda: scene.has_answered(ALLOWED // 2))
        await FAULTS[fault](scene)
    ended = time.monotonic()
    await until(scene.is_settled, BOUND_SECONDS)

    print(f"\n{fault}: load {ended - began:.1f} s, settled {time.monotonic() - ended:.1f} s")  # noqa: T201
    for load in scene.loads:
        print(await figures(scene, load))  # noqa: T201
        await check_books(scene, load)
        if fault in ANSWERS_ARE_SAFE:
            assert set(await scene.asked(load)) == load.full.keys()
    await check_limits(scene)
    await check_audit(admin)


async def test_what_is_spent_stays_spent_when_the_store_is_emptied(
    gateway: Gateway, store: RedisServer, admin: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    scene = await make_scene(gateway, store, admin, upstream)
    [_, rare] = scene.loads
    await asyncio.gather(*(load.run() for load in scene.loads))
    await until(scene.is_settled, BOUND_SECONDS)
    before = [scene.booked(load) for load in scene.loads]

    await empty_store(scene)
    await rare.run()
    await until(scene.is_settled, BOUND_SECONDS)

    assert scene.answered == sum(len(load.full) for load in scene.loads)
    assert before == [scene.booked(load) for load in scene.loads]
    assert len(await scene.asked(rare)) == ALLOWED
    await check_audit(admin)


async def test_what_runs_when_the_store_is_emptied_is_all_that_a_limit_is_passed_by(
    gateway: Gateway, store: RedisServer, admin: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    await upstream.script(Match(), Behaviour(head_delay_seconds=RUNNING_SECONDS), times=RUNNING)
    scene = await make_scene(gateway, store, admin, upstream)
    [_, rare] = scene.loads
    async with gateway.client(rare.key) as client, asyncio.TaskGroup() as asking:
        for number in range(RUNNING):
            asking.create_task(rare.ask_until_answered(client, is_streamed=bool(number % 2)))

        async def are_under_way() -> bool:
            return len(await scene.asked(rare)) == RUNNING

        await until(are_under_way)
        await empty_store(scene)
        scene.lost, scene.forgotten = set(), set()  # nothing had ended
        await rare.run()
    await until(scene.is_settled, BOUND_SECONDS)

    print(f"\nrequests that ran: {await figures(scene, rare)}")  # noqa: T201
    await check_books(scene, rare)
    assert ALLOWED < scene.booked(rare)[0] <= ALLOWED + RUNNING
    await check_audit(admin)


async def make_scene(
    gateway: Gateway, store: RedisServer, admin: httpx.AsyncClient, upstream: RemoteUpstream
) -> Scene:
    """One whose budget will be spent, and one whose requests will."""
    await upstream.script(Match(), Behaviour(head_delay_seconds=0.05, event_delay_seconds=0.01))
    keys = Admin(admin)
    poor = await keys.key(total("COST", BUDGET_NANOS), total("REQUESTS", PLENTY))
    rare = await keys.key(total("COST", PLENTY), total("REQUESTS", ALLOWED))
    return Scene(gateway, store, upstream, [Load(gateway, *poor), Load(gateway, *rare)])


async def check_limits(scene: Scene) -> None:
    """None was passed, by what is booked and by what the upstream saw."""
    [poor, rare] = scene.loads
    unknown = scene.forgotten - scene.booked_names()
    spent = [cost(usage) for name, usage in poor.full.items() if name not in unknown]
    assert sum(spent) <= scene.booked(poor)[1] <= BUDGET_NANOS
    assert len(set(await scene.asked(rare)) - unknown) <= scene.booked(rare)[0] <= ALLOWED


async def check_audit(admin: httpx.AsyncClient) -> None:
    """Nothing is wrong in the ledger, and every counter holds what it says."""
    verified, reconciled = await pages(admin, "verify"), await pages(admin, "reconcile")
    assert [fault for page in verified for fault in page["faults"]] == []
    assert [each for page in reconciled for each in page["differences"]] == []
    assert sum(int(page["counter_count"]) for page in reconciled) >= 2


async def figures(scene: Scene, load: Load) -> str:
    """For those who look."""
    asked = await scene.asked(load)
    records = [each for each in written(scene.gateway) if each.key_id == load.key_id]
    missing = load.full.keys() - {each.request_id for each in records}
    return (
        f"  {dict(load.statuses)}, upstream {len(asked)}, in full {len(load.full)}, records "
        f"{len(records)}, booked {scene.booked(load)}, missing {len(missing)}, "
        f"may be lost {len(scene.lost)}"
    )


async def check_books(scene: Scene, load: Load) -> None:
    """Records against requests: as the head of this file says."""
    asked = await scene.asked(load)
    records = {}
    for record in written(scene.gateway):
        if record.key_id == load.key_id:
            assert record.request_id not in records
            records[record.request_id] = record

    assert len(set(asked)) == len(asked)
    assert records.keys() <= load.told.keys()
    assert {name for name, record in records.items() if record.charges} <= set(asked)
    assert load.full.keys() <= set(asked)
    assert set(asked) - records.keys() <= scene.lost
    assert len(set(asked) - scene.forgotten) <= scene.booked(load)[0]
    assert scene.booked(load)[2] == 0
    for name in load.full.keys() & records.keys():
        [charge] = records[name].charges
        assert records[name].outcome == pb.REQUEST_OUTCOME_ANSWERED
        assert (charge.usage.input_tokens, charge.usage.output_tokens) == load.full[name]
        assert (charge.cost_nanos, charge.estimated) == (cost(load.full[name]), False)


async def pages(admin: httpx.AsyncClient, what: str) -> list[dict[str, Any]]:
    """All that `usage:verify` or `usage:reconcile` says."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["next_page_token"]:
        token = found[-1]["next_page_token"] if found else ""
        answer = await admin.get(f"/admin/v1/usage:{what}", params={"page_token": token})
        if answer.status_code == 503:  # what was killed is still starting
            await asyncio.sleep(0.1)
            continue
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
    return found
