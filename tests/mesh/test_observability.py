"""What operators see of a running gateway: metrics and the status, in the mesh and compact."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import httpx
import pytest
from gateway_process import ADMIN_KEY, Gateway
from plain_http import TRUSTS_NOBODY
from prometheus_client.parser import text_string_to_metric_families
from upstream import Behaviour, Refuse, RemoteUpstream

pytestmark = pytest.mark.mesh

BOUND_SECONDS = 30
SERVICES = ("routing", "auth", "quota", "provider", "cache", "guardrails")
CHAT = "/v1/chat/completions"
GENAI = {"gen_ai_operation_name": "chat", "gen_ai_provider_name": "main"}
GENAI["gen_ai_request_model"] = "gpt-4o-mini-2024-07-18"
DURATION = "gen_ai_client_operation_duration_seconds_count"


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client


def chat(**more: object) -> dict[str, object]:
    message = {"role": "user", "content": "a metered prompt"}
    return {"model": "gpt-4o-mini", "messages": [message], **more}


class Metrics:
    """The metrics of all processes of a gateway, added up."""

    def __init__(self, text: str) -> None:
        self._samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def __call__(self, name: str, **labels: str) -> float:
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


async def scraped(gateway: Gateway) -> Metrics:
    addresses = [each for some in gateway.ready["metrics"].values() for each in some]
    async with httpx.AsyncClient(trust_env=False, verify=TRUSTS_NOBODY) as client:
        pages = [(await client.get(address)).text for address in addresses]
    return Metrics("\n".join(pages))


async def grown(gateway: Gateway, before: Metrics, by: float, name: str, **labels: str) -> Metrics:
    """The metrics once one of them has grown: requests are concluded when nobody waits."""
    async with asyncio.timeout(BOUND_SECONDS):
        while True:
            now = await scraped(gateway)
            if now(name, **labels) - before(name, **labels) >= by:
                return now
            await asyncio.sleep(0.05)


async def test_requests_are_told_to_prometheus_by_genai_names(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    before = await scraped(gateway)
    answer = (await client.post(CHAT, json=chat())).json()
    await client.post(CHAT, json=chat(stream=True))
    overhead = "meshgate_overhead_duration_seconds_count"
    after = await grown(gateway, before, 1, overhead, answer="streamed")

    def growth(name: str, **labels: str) -> float:
        return after(name, **labels) - before(name, **labels)

    tokens = "gen_ai_client_token_usage"
    assert growth(DURATION, error_type="", **GENAI) == 2
    assert (
        growth(f"{tokens}_sum", gen_ai_token_type="input", **GENAI)
        >= (answer["usage"]["prompt_tokens"])
    )
    assert growth("gen_ai_server_time_to_first_token_seconds_count", **GENAI) == 1
    assert growth(overhead, answer="plain") == 1
    assert growth("meshgate_attempts_total", provider="main", outcome="answered") == 2
    assert growth("meshgate_price_lookups_total", status="unpriced") >= 1


async def test_a_failed_attempt_is_told_and_its_time_is_not_the_gateways(
    gateway: Gateway, client: httpx.AsyncClient, upstream: RemoteUpstream
) -> None:
    before = await scraped(gateway)
    await upstream.script("a metered prompt", Behaviour(fault=Refuse(503)), times=1)
    await client.post(CHAT, json=chat())
    after = await grown(
        gateway, before, 1, "meshgate_attempts_total", provider="main", outcome="overloaded"
    )

    assert after(DURATION, error_type="overloaded", **GENAI) >= 1


async def test_the_status_tells_every_instance_and_what_it_runs(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    answer = await client.get("/meshgate/v1/status", headers=headers)

    services: dict[str, Any] = {one["service"]: one for one in answer.json()["services"]}
    assert list(services) == [*SERVICES]
    for name, service in services.items():
        assert service["health"] == "SERVICE_HEALTH_SERVING"
        # Requests do without the cache; guardrails are needed by a policy of this configuration.
        assert service["required"] == (name != "cache")
        assert [one["version"] for one in service["instances"]] == [version("meshgate")]
    assert {one["target"]["provider"] for one in answer.json()["targets"]} >= {"main", "demo"}


async def test_without_redis_quota_is_degraded_and_the_gateway_is_ready(
    gateway: Gateway, client: httpx.AsyncClient
) -> None:
    async def quota() -> Any:
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        services = (await client.get("/meshgate/v1/status", headers=headers)).json()["services"]
        [found] = [service for service in services if service["service"] == "quota"]
        return found

    async def until(health: str) -> Any:
        async with asyncio.timeout(BOUND_SECONDS):
            while (found := await quota())["health"] != health:
                await asyncio.sleep(0.1)
        return found

    redis = gateway.ready["pids"]["redis"]
    os.kill(redis, signal.SIGSTOP)
    try:
        degraded = await until("SERVICE_HEALTH_DEGRADED")
        ready = await client.get("/readyz")
    finally:
        os.kill(redis, signal.SIGCONT)

    assert degraded["instances"][0]["degraded_reasons"] == ["redis does not answer"]
    assert ready.status_code == 200
    await until("SERVICE_HEALTH_SERVING")


def test_meshgate_status_prints_it_and_ends_well(gateway: Gateway) -> None:
    command = [sys.executable, "-m", "meshgate.cli.main", "status", "--json"]
    environment = {**gateway.environment, "MESHGATE_URL": gateway.base_url}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert {one["service"] for one in json.loads(ended.stdout)["services"]} == {*SERVICES}


async def test_readiness_is_json(client: httpx.AsyncClient) -> None:
    answer = await client.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "degraded": []})
