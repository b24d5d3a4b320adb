"""The Redis-compatible server of a whole gateway: its own, or one that was brought."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from gateway_process import Gateway, running_gateway
from redis_servers import RedisServer

pytestmark = pytest.mark.mesh

BOUND_SECONDS = 30


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream_origin: str) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("redis-gateway")
    with running_gateway(directory, upstream_origin, "--compact") as gateway:
        yield gateway


def ready(gateway: Gateway) -> dict[str, Any]:
    """What the ready file says now."""
    now: dict[str, Any] = json.loads((gateway.directory / "ready.json").read_text())
    return now


async def test_a_redis_that_is_killed_comes_back_where_it_was_with_what_it_held(
    gateway: Gateway,
) -> None:
    before = ready(gateway)
    with redis.Redis.from_url(before["redis_url"]) as client:
        client.set("spent", 7)
        client.execute_command("WAITAOF", 1, 0, BOUND_SECONDS * 1000)

    os.kill(before["pids"]["redis"], signal.SIGKILL)
    async with asyncio.timeout(BOUND_SECONDS):
        while ready(gateway)["pids"]["redis"] == before["pids"]["redis"]:
            await asyncio.sleep(0.02)

    assert ready(gateway)["redis_url"] == before["redis_url"]
    with redis.Redis.from_url(before["redis_url"]) as client:
        assert client.get("spent") == b"7"


def test_its_password_is_in_no_command_line_and_no_log(gateway: Gateway) -> None:
    password = ready(gateway)["redis_url"].removeprefix("redis://:").partition("@")[0]
    commands = [
        (Path("/proc") / str(pid) / "cmdline").read_text()
        for pids in ready(gateway)["pids"].values()
        for pid in ([pids] if isinstance(pids, int) else pids)
    ]

    assert len(password) >= 43
    assert not any(password in command for command in commands)
    assert password not in gateway.logs()


def test_a_second_gateway_on_the_same_data_is_refused(gateway: Gateway) -> None:
    command = [sys.executable, "-m", "meshgate.cli.main", "up", "--port", "0"]
    data = gateway.directory / "data"

    second = subprocess.run(
        [*command, "--data-dir", str(data)], capture_output=True, text=True, check=False
    )

    assert second.returncode == 1
    assert f"a gateway already runs on {data} (process {gateway.process.pid})" in second.stderr


def test_a_redis_that_was_brought_is_used_and_its_password_kept_to_ourselves(
    tmp_path: Path, upstream_origin: str, valkey: RedisServer
) -> None:
    variables = {"REDIS_URL": f"redis://default:secret@127.0.0.1:{valkey.port}/3"}
    with running_gateway(tmp_path, upstream_origin, "--compact", variables=variables) as gateway:
        now = ready(gateway)

    assert now["redis_url"] == f"redis://default@127.0.0.1:{valkey.port}/3"
    assert "redis" not in now["pids"]
    assert not (gateway.directory / "data" / "redis").exists()
