"""Which processes a gateway has, and how they are wired; nothing is started here."""

import json
import socket
from pathlib import Path

import pytest

from meshgate.cli.announcement import Announcement
from meshgate.cli.mesh import SEPARATE, TOGETHER, Mesh, Plan, Shape
from meshgate.cli.supervision import StartError
from meshgate.edge.rendering import Address


class NotedSupervisor:
    """Starts nothing, and notes what it was asked to."""

    def __init__(self) -> None:
        self.programs = {}
        self.stopped = []
        self.before_start = lambda _program: None

    async def start(self, program, within_seconds):
        assert within_seconds <= 60
        self.before_start(program)
        self.programs[program.name] = program

    async def stop(self, order):
        self.stopped = [sorted(names) for names in order]

    def pid(self, name):
        return list(self.programs).index(name) + 1

    def env(self, name, variable):
        return self.programs[name].env.get(variable)


def plan_for(directory: Path, shape: Shape = SEPARATE, workers: int = 1, host: str = "127.0.0.1"):
    (directory / "logs").mkdir(exist_ok=True)
    variables = {"PATH": "/usr/bin", "OPENAI_API_KEY": "sk-secret", "MESHGATE_CONFIG": "/c.yaml"}
    return Plan(
        public=Address(host, 8080),
        shape=shape,
        workers=workers,
        variables=variables,
        admin_key="mg-admin-test",
        directory=directory,
        admin_socket=directory / "admin.sock",
    )


@pytest.fixture
def supervisor() -> NotedSupervisor:
    return NotedSupervisor()


async def test_each_service_has_a_process_of_its_own(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path), supervisor).start()

    assert list(supervisor.programs) == ["auth", "provider", "routing", "envoy"]
    assert supervisor.programs["auth"].argv[-2:] == ("serve", "auth")


async def test_routing_knows_where_the_others_are(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path, workers=2), supervisor).start()

    addresses = {name: supervisor.env(name, "MESHGATE_LISTEN") for name in supervisor.programs}
    providers = f"{addresses['provider-1']},{addresses['provider-2']}"
    for name in ("routing-1", "routing-2"):
        assert supervisor.env(name, "MESHGATE_PEER_AUTH") == addresses["auth"]
        assert supervisor.env(name, "MESHGATE_PEER_PROVIDER") == providers


async def test_a_compact_gateway_has_everything_in_each_process(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path, TOGETHER, workers=2), supervisor).start()

    assert list(supervisor.programs) == ["compact-1", "compact-2", "envoy"]
    assert supervisor.programs["compact-1"].argv[-4:] == ("serve", "auth", "provider", "routing")
    assert supervisor.env("compact-1", "MESHGATE_ADMIN_KEY") == "mg-admin-test"
    assert supervisor.env("compact-1", "MESHGATE_PEER_AUTH") is None


async def test_all_share_a_token_that_no_other_run_has(tmp_path, supervisor):
    other = NotedSupervisor()

    await Mesh(plan_for(tmp_path), supervisor).start()
    await Mesh(plan_for(tmp_path), other).start()

    services = ("auth", "provider", "routing")
    tokens = {supervisor.env(name, "MESHGATE_MESH_TOKEN") for name in services}
    assert len(tokens) == 1
    assert tokens != {other.env("auth", "MESHGATE_MESH_TOKEN")}


async def test_only_auth_is_told_the_admin_key(tmp_path, supervisor):
    await Mesh(plan_for(tmp_path), supervisor).start()

    told = [name for name in supervisor.programs if supervisor.env(name, "MESHGATE_ADMIN_KEY")]
    assert told == ["auth"]


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
    assert len(addresses) == len(set(addresses)) == 14


async def test_services_end_before_those_that_they_call_and_envoy_last(tmp_path, supervisor):
    mesh = Mesh(plan_for(tmp_path, workers=2), supervisor)
    await mesh.start()

    await mesh.stop()

    assert supervisor.stopped == [
        ["routing-1", "routing-2"],
        ["auth", "provider-1", "provider-2"],
        ["envoy"],
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


@pytest.fixture
async def announced(tmp_path, supervisor):
    plan = plan_for(tmp_path, workers=2)
    mesh = Mesh(plan, supervisor)
    await mesh.start()
    announcement = Announcement(
        plan=plan,
        logs=tmp_path / "logs",
        admin_key_file=tmp_path / "admin.key",
        ready_file=tmp_path / "ready.json",
        model="demo",
    )
    return announcement, mesh


async def test_the_ready_file_tells_scripts_all_they_need(tmp_path, announced, supervisor):
    announcement, mesh = announced

    announcement.write(mesh)

    ready = json.loads((tmp_path / "ready.json").read_text())
    metrics_address = supervisor.env("auth", "MESHGATE_METRICS_LISTEN")
    assert ready["base_url"] == "http://127.0.0.1:8080"
    assert ready["grpc_target"] == "127.0.0.1:8080"
    assert ready["admin_key_file"] == str(tmp_path / "admin.key")
    assert ready["redis_url"] is None
    assert ready["pids"] == {"envoy": 6, "auth": [1], "provider": [2, 3], "routing": [4, 5]}
    assert ready["metrics"]["auth"] == [f"http://{metrics_address}/metrics"]


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
