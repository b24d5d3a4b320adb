"""Which processes a gateway has, and how they are wired; nothing is started here."""

import json
import re
import socket
from pathlib import Path

import pytest

from meshgate.cli.announcement import Announcement
from meshgate.cli.mesh import SEPARATE, START_SECONDS, TOGETHER, Mesh, Plan, Shape
from meshgate.cli.redis_server import ANSWERS, EmbeddedRedis, ExternalRedis, RedisServer
from meshgate.cli.supervision import StartError
from meshgate.edge.rendering import Address

CACHE_GIVEN = ExternalRedis("redis://cache:secret@cache.example:6379/2")
GIVEN = ExternalRedis("redis://quota:secret@redis.example:6379/1?password=secret")


class NotedSupervisor:
    """Starts nothing, and notes what it was asked to."""

    def __init__(self) -> None:
        self.programs = {}
        self.stopped = []
        self.before_start = lambda _program: None

    async def start(self, program, within_seconds=0):
        assert within_seconds <= START_SECONDS
        self.before_start(program)
        self.programs[program.name] = program

    async def stop(self, order):
        self.stopped = [sorted(names) for names in order]

    def pid(self, name):
        return list(self.programs).index(name) + 1

    def redis_port(self, directory, name="redis"):
        configuration = (directory / name / "redis.conf").read_text()
        return int(re.search(r"^port (\d+)$", configuration, re.MULTILINE)[1])

    def env(self, name, variable):
        return self.programs[name].env.get(variable)


def plan_for(
    directory: Path,
    shape: Shape = SEPARATE,
    workers: int = 1,
    host: str = "127.0.0.1",
    redis: RedisServer = GIVEN,
    cache_redis: RedisServer = CACHE_GIVEN,
):
    (directory / "logs").mkdir(exist_ok=True)
    variables = {"PATH": "/usr/bin", "OPENAI_API_KEY": "sk-secret", "MESHGATE_CONFIG": "/c.yaml"}
    return Plan(
        public=Address(host, 8080),
        shape=shape,
        workers=workers,
        variables=variables,
        private={"auth": {"MESHGATE_ADMIN_KEY": "mg-admin-test", "MESHGATE_KEY_PEPPER": "pepper"}},
        redis=redis,
        cache_redis=cache_redis,
        directory=directory,
        admin_socket=directory / "admin.sock",
    )


@pytest.fixture
def supervisor() -> NotedSupervisor:
    return NotedSupervisor()


async def test_each_service_has_a_process_of_its_own(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path), supervisor).start()

    assert list(supervisor.programs) == [
        *("auth", "cache", "guardrails", "provider", "quota", "routing", "envoy")
    ]
    assert supervisor.programs["auth"].argv[-2:] == ("serve", "auth")


async def test_routing_knows_where_the_others_are(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path, workers=2), supervisor).start()

    addresses = {name: supervisor.env(name, "MESHGATE_LISTEN") for name in supervisor.programs}
    providers = f"{addresses['provider-1']},{addresses['provider-2']}"
    guardrails = f"{addresses['guardrails-1']},{addresses['guardrails-2']}"
    for name in ("routing-1", "routing-2"):
        assert supervisor.env(name, "MESHGATE_PEER_AUTH") == addresses["auth"]
        assert supervisor.env(name, "MESHGATE_PEER_CACHE") == addresses["cache"]
        assert supervisor.env(name, "MESHGATE_PEER_PROVIDER") == providers
        assert supervisor.env(name, "MESHGATE_PEER_GUARDRAILS") == guardrails


async def test_quota_knows_where_auth_is(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path), supervisor).start()

    auth = supervisor.env("auth", "MESHGATE_LISTEN")
    assert supervisor.env("quota", "MESHGATE_PEER_AUTH") == auth


async def test_envoy_finds_what_tells_of_usage(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path), supervisor).start()

    port = supervisor.env("quota", "MESHGATE_LISTEN").rpartition(":")[2]
    assert f'"port_value": {port}' in (tmp_path / "envoy.yaml").read_text()


async def test_a_compact_gateway_has_everything_in_each_process(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path, TOGETHER, workers=2), supervisor).start()

    assert list(supervisor.programs) == ["compact-1", "compact-2", "envoy"]
    assert supervisor.programs["compact-1"].argv[-7:] == (
        "serve",
        "auth",
        "quota",
        "cache",
        "guardrails",
        "provider",
        "routing",
    )
    assert supervisor.env("compact-1", "MESHGATE_ADMIN_KEY") == "mg-admin-test"
    assert supervisor.env("compact-1", "MESHGATE_PEER_AUTH") is None


async def test_all_share_a_token_that_no_other_run_has(tmp_path, supervisor):
    other = NotedSupervisor()

    await Mesh(plan_for(tmp_path), supervisor).start()
    await Mesh(plan_for(tmp_path), other).start()

    services = ("auth", "quota", "cache", "guardrails", "provider", "routing")
    tokens = {supervisor.env(name, "MESHGATE_MESH_TOKEN") for name in services}
    assert len(tokens) == 1
    assert tokens != {other.env("auth", "MESHGATE_MESH_TOKEN")}


async def test_only_auth_is_told_the_admin_key(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path), supervisor).start()

    told = [name for name in supervisor.programs if supervisor.env(name, "MESHGATE_ADMIN_KEY")]
    assert told == ["auth"]


def embedded(directory: Path) -> EmbeddedRedis:
    return EmbeddedRedis(Path("/bin/valkey-server"), directory / "redis", {"PATH": "/usr/bin"})


def embedded_cache(directory: Path) -> EmbeddedRedis:
    path = Path("/bin/valkey-server")
    return EmbeddedRedis(path, directory / "cache_redis", {"PATH": "/usr/bin"}, ANSWERS)


async def test_redis_servers_of_ours_start_first_and_end_last(tmp_path, supervisor):
    plan = plan_for(tmp_path, redis=embedded(tmp_path), cache_redis=embedded_cache(tmp_path))
    mesh = Mesh(plan, supervisor)
    await mesh.start()

    await mesh.stop()

    assert list(supervisor.programs)[:2] == ["redis", "cache_redis"]
    assert supervisor.stopped[-1] == ["cache_redis", "redis"]


async def test_a_redis_that_was_brought_is_not_ours_to_start(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path), supervisor).start()

    assert not {"redis", "cache_redis"} & supervisor.programs.keys()


@pytest.mark.parametrize("ours", [True, False])
async def test_who_uses_redis_is_told_where_it_is_and_nobody_else(tmp_path, supervisor, ours):
    redis = embedded(tmp_path)
    plan = plan_for(tmp_path, redis=redis if ours else GIVEN)

    await Mesh(plan, supervisor).start()

    port = supervisor.redis_port(tmp_path) if ours else None
    url = redis.url(port) if port else GIVEN.url
    told = {name: supervisor.env(name, "REDIS_URL") for name in supervisor.programs}
    assert {name: at for name, at in told.items() if at} == {"quota": url}
    assert all(url not in argument for p in supervisor.programs.values() for argument in p.argv)


@pytest.mark.parametrize("ours", [True, False])
async def test_only_cache_is_told_where_answers_are_kept(tmp_path, supervisor, ours):
    redis = embedded_cache(tmp_path)
    plan = plan_for(tmp_path, cache_redis=redis if ours else CACHE_GIVEN)

    await Mesh(plan, supervisor).start()

    url = redis.url(supervisor.redis_port(tmp_path, "cache_redis")) if ours else CACHE_GIVEN.url
    told = {name: supervisor.env(name, "CACHE_REDIS_URL") for name in supervisor.programs}
    assert {name: at for name, at in told.items() if at} == {"cache": url}


async def test_a_port_of_redis_that_was_taken_meanwhile_is_exchanged(tmp_path, supervisor):
    taken = []

    def take_the_first_port(program):
        if program.name == "redis" and not taken:
            taken.append(socket.create_server(("127.0.0.1", supervisor.redis_port(tmp_path))))
            raise StartError("cannot listen")

    supervisor.before_start = take_the_first_port
    await Mesh(plan_for(tmp_path, redis=embedded(tmp_path)), supervisor).start()

    [listener] = taken
    with listener:
        assert supervisor.redis_port(tmp_path) != listener.getsockname()[1]


async def test_envoy_holds_no_secret(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path), supervisor).start()

    assert supervisor.programs["envoy"].env == {"PATH": "/usr/bin"}


async def test_envoy_balances_over_every_process_of_routing(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path, workers=2), supervisor).start()

    configuration = (tmp_path / "envoy.yaml").read_text()
    for name in ("routing-1", "routing-2"):
        port = supervisor.env(name, "MESHGATE_LISTEN").rpartition(":")[2]
        assert f'"port_value": {port}' in configuration


async def test_no_two_processes_share_a_port(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path, workers=3), supervisor).start()

    variables = ("MESHGATE_LISTEN", "MESHGATE_METRICS_LISTEN")
    names = [name for name in supervisor.programs if name != "envoy"]
    addresses = [supervisor.env(name, variable) for name in names for variable in variables]
    assert len(addresses) == len(set(addresses)) == 24


async def test_services_end_before_those_that_they_call_and_envoy_last(tmp_path, supervisor):
    mesh = Mesh(plan_for(tmp_path, workers=2), supervisor)
    await mesh.start()

    await mesh.stop()

    assert supervisor.stopped == [
        ["routing-1", "routing-2"],
        ["quota"],
        ["auth", "cache", "guardrails-1", "guardrails-2", "provider-1", "provider-2"],
        ["envoy"],
        ["cache_redis", "redis"],
    ]


async def test_a_port_that_was_taken_meanwhile_is_exchanged(tmp_path, supervisor):
    taken = []

    def take_the_first_port(program):
        if program.name == "auth" and not taken:
            host, _, port = program.env["MESHGATE_LISTEN"].rpartition(":")
            taken.append(socket.create_server((host, int(port))))
            raise StartError("cannot listen")

    supervisor.before_start = take_the_first_port
    await Mesh(plan_for(tmp_path), supervisor).start()

    [listener] = taken
    with listener:
        assert supervisor.env("auth", "MESHGATE_LISTEN") != f"127.0.0.1:{listener.getsockname()[1]}"


async def test_a_process_that_fails_for_another_reason_fails_the_start(tmp_path, supervisor):
    def fail(program):
        if program.name == "provider":
            raise StartError("the key is missing")

    supervisor.before_start = fail

    with pytest.raises(StartError, match="the key is missing"):
        await Mesh(plan_for(tmp_path), supervisor).start()

    assert "routing" not in supervisor.programs


@pytest.mark.parametrize(
    ("host", "target"),
    [
        ("127.0.0.1", "127.0.0.1:8080"),
        ("0.0.0.0", "127.0.0.1:8080"),
        ("10.1.2.3", "10.1.2.3:8080"),
        ("::", "[::1]:8080"),
    ],
)
def test_the_address_is_one_that_can_be_called(tmp_path, host, target):
    plan = plan_for(tmp_path, host=host)

    assert (plan.grpc_target, plan.base_url) == (target, f"http://{target}")


async def announcement_of(plan, supervisor):
    mesh = Mesh(plan, supervisor)
    await mesh.start()
    announcement = Announcement(
        plan=plan,
        logs=plan.directory / "logs",
        admin_key_file=plan.directory / "admin.key",
        ready_file=plan.directory / "ready.json",
        model="demo",
    )
    return announcement, mesh


@pytest.fixture
async def announced(tmp_path, supervisor):
    return await announcement_of(plan_for(tmp_path, workers=2), supervisor)


async def test_the_ready_file_tells_scripts_all_they_need(tmp_path, announced, supervisor):
    announcement, mesh = announced

    announcement.write(mesh)

    ready = json.loads((tmp_path / "ready.json").read_text())
    metrics_address = supervisor.env("auth", "MESHGATE_METRICS_LISTEN")
    assert ready["base_url"] == "http://127.0.0.1:8080"
    assert ready["grpc_target"] == "127.0.0.1:8080"
    assert ready["admin_key_file"] == str(tmp_path / "admin.key")
    assert ready["redis_url"] == "redis://quota@redis.example:6379/1"
    assert ready["cache_redis_url"] == "redis://cache@cache.example:6379/2"
    assert ready["pids"] == {
        "envoy": 10,
        "auth": [1],
        "quota": [7],
        "cache": [2],
        "guardrails": [3, 4],
        "provider": [5, 6],
        "routing": [8, 9],
    }
    assert ready["metrics"]["auth"] == [f"http://{metrics_address}/metrics"]


async def test_only_the_ready_file_has_the_password_of_our_redis(tmp_path, supervisor):
    redis, cache = embedded(tmp_path), embedded_cache(tmp_path)
    plan = plan_for(tmp_path, redis=redis, cache_redis=cache)
    announcement, mesh = await announcement_of(plan, supervisor)

    announcement.write(mesh)

    port, cache_port = (supervisor.redis_port(tmp_path, at) for at in ("redis", "cache_redis"))
    ready = json.loads((tmp_path / "ready.json").read_text())
    printed = json.loads(announcement.json(mesh))
    assert ready["redis_url"] == redis.url(port)
    assert printed["redis_url"] == f"redis://127.0.0.1:{port}/0"
    assert ready["pids"]["redis"] == printed["pids"]["redis"] == 1
    assert ready["cache_redis_url"] == cache.url(cache_port)
    assert printed["cache_redis_url"] == f"redis://127.0.0.1:{cache_port}/0"
    assert ready["pids"]["cache_redis"] == 2


async def test_a_ready_file_is_renewed_only_while_it_is_there(tmp_path, announced):
    announcement, mesh = announced

    announcement.renew(mesh)

    assert not (tmp_path / "ready.json").exists()


async def test_a_ready_file_is_gone_at_the_end(tmp_path, announced):
    announcement, mesh = announced
    announcement.write(mesh)

    announcement.forget()
    announcement.forget()

    assert not (tmp_path / "ready.json").exists()


async def test_people_are_told_what_to_try(tmp_path, announced):
    announcement, mesh = announced

    text = announcement.text(mesh)

    first = text.splitlines()[0]
    key_file = tmp_path / "admin.key"
    assert first == f"Meshgate is ready on http://127.0.0.1:8080 (admin key: {key_file}). Try:"
    assert f"Bearer $(cat {key_file})" in text
    assert '{"model": "demo", ' in text
