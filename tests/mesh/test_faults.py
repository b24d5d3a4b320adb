"""What happens to users when parts of the gateway die, change or stop."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from gateway_process import ADMIN_KEY, KEY, Gateway, running_gateway
from mesh.waiting import until
from upstream import Behaviour, Framing, Hang, RemoteUpstream

pytestmark = pytest.mark.mesh

BOUND_SECONDS = 30
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream_origin: str) -> Iterator[Gateway]:
    """A mesh of its own, with two of each: these tests break things."""
    directory = tmp_path_factory.mktemp("faults")
    with running_gateway(directory, upstream_origin, "--workers", "2") as gateway:
        yield gateway


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client


def chat(text: str = "hello", **more: object) -> dict[str, object]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **more}


async def status_of(client: httpx.AsyncClient, key: str = KEY) -> int:
    headers = {"authorization": f"Bearer {key}"}
    return (await client.post(CHAT, json=chat(), headers=headers)).status_code


def pids(gateway: Gateway, service: str) -> list[int]:
    """The processes of a service, as the ready file named them."""
    return list(gateway.ready["pids"][service])


@pytest.mark.parametrize("service", ["provider", "quota", "auth", "routing"])
async def test_a_service_that_is_killed_comes_back(
    gateway: Gateway, client: httpx.AsyncClient, service: str
) -> None:
    for pid in pids(gateway, service):
        os.kill(pid, signal.SIGKILL)

    async def served() -> bool:
        answer = await client.post(CHAT, json=chat())
        if answer.status_code != 200:
            assert answer.status_code in {502, 503}
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        return answer.status_code == 200

    await until(served)


async def test_while_auth_is_away_known_keys_go_on_and_others_do_not(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:

    async def met_by_all() -> bool:
        # Both processes of routing: so many connections reach both.
        return set(await asyncio.gather(*(status_of(client) for _ in range(40)))) == {200}

    await until(met_by_all)
    [auth] = current_pids(gateway, "auth")
    os.kill(auth, signal.SIGSTOP)
    try:
        known = await status_of(client)
        stranger = await status_of(client, "mg-never-seen-before")
    finally:
        os.kill(auth, signal.SIGCONT)

    assert known == 200
    assert stranger in {401, 503}
    await until(lambda: is_ready(client))


def current_pids(gateway: Gateway, service: str) -> list[int]:
    """The processes of a service as they are now: the supervisor's children that host it."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            command = (process / "cmdline").read_bytes().decode().split("\0")
            parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
        if parent == gateway.process.pid and command[-3:-1] == ["serve", service]:
            found.append(int(process.name))
    return found


async def is_ready(client: httpx.AsyncClient) -> bool:
    return (await client.get("/readyz")).status_code == 200


async def test_a_new_key_works_and_a_removed_one_dies(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    before = gateway.configuration.read_text()
    added = before + f'  - {{name: late, key: "${{file:{gateway.directory}/late.key}}"}}\n'
    (gateway.directory / "late.key").write_text("mg-late-key-0123456789")
    assert await status_of(client, "mg-late-key-0123456789") == 401

    async def has_status(status: int) -> bool:
        return await status_of(client, "mg-late-key-0123456789") == status

    gateway.configuration.write_text(added)
    await until(lambda: has_status(200))
    gateway.configuration.write_text(before)
    await until(lambda: has_status(401))


async def test_a_broken_configuration_is_refused_and_the_old_one_stays(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    before = gateway.configuration.read_text()
    gateway.configuration.write_text(before.replace("fallbacks: [gpt-4o-mini]", "fallbacks: [x]"))

    async def refused() -> bool:
        return "configuration refused" in gateway.logs()

    await until(refused)
    try:
        assert await status_of(client) == 200
    finally:
        gateway.configuration.write_text(before)


async def test_a_new_model_is_served_without_a_restart(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    before = gateway.configuration.read_text()
    added = before.replace(
        "models:\n", "models:\n  late-model:\n    targets: [{provider: demo}]\n", 1
    )
    gateway.configuration.write_text(added)

    async def served() -> bool:
        answer = await client.post(CHAT, json=chat() | {"model": "late-model"})
        return answer.status_code == 200

    await until(served)
    gateway.configuration.write_text(before)


async def test_the_status_is_for_the_admin(gateway: Gateway, client: httpx.AsyncClient) -> None:
    other = await client.get("/meshgate/v1/status")
    admin = await client.get(
        "/meshgate/v1/status", headers={"authorization": f"Bearer {ADMIN_KEY}"}
    )

    assert other.status_code == 403
    services = {service["service"]: service for service in admin.json()["services"]}
    assert services["provider"]["serving_count"] == 2
    told = {target["target"]["provider"] for target in admin.json()["targets"]}
    assert told >= {"main", "nobody", "demo", "claude", "gemini"}


async def test_a_stop_lets_streams_end_and_leaves_nothing_behind(
    tmp_path: Path, upstream_origin: str
) -> None:
    async with RemoteUpstream(upstream_origin) as upstream:
        await upstream.reset()
        slow = Behaviour(chunks=20, event_delay_seconds=0.1, framing=Framing())
        await upstream.script("slow", slow)
        await upstream.script("stuck", Behaviour(fault=Hang("head")))
        with running_gateway(tmp_path / "stopping", upstream_origin) as gateway:
            everyone = [gateway.ready["pids"]["envoy"], gateway.ready["pids"]["redis"]]
            everyone.append(gateway.ready["pids"]["cache_redis"])
            for service in ("auth", "quota", "cache", "routing", "provider"):
                everyone += gateway.ready["pids"][service]
            async with (
                gateway.client() as client,
                client.stream("POST", CHAT, json=chat("slow", stream=True)) as answer,
            ):
                lines = answer.aiter_lines()
                first = await anext(lines)
                gateway.process.send_signal(signal.SIGTERM)
                rest = [line async for line in lines]

            assert json.loads(first.removeprefix("data: "))
            assert rest[-2:] == ["data: [DONE]", ""]
            assert await asyncio.to_thread(gateway.process.wait, BOUND_SECONDS) == 0
            assert not [pid for pid in everyone if Path(f"/proc/{pid}").exists()]
