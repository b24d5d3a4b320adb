"""The configuration: complete, accepted by Envoy, and fresh where it is committed."""

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from meshgate.edge import assets, binary
from meshgate.edge.rendering import COMPOSE, Address, EdgeSettings, laptop_files, render
from meshgate.runtime.tracing_settings import Sampling, TracingSettings

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def laptop(tmp_path: Path) -> EdgeSettings:
    return EdgeSettings(
        listen=Address("127.0.0.1", 8080),
        routing=(Address("127.0.0.1", 9000), Address("127.0.0.1", 9001)),
        auth=(Address("127.0.0.1", 9002),),
        quota=(Address("127.0.0.1", 9003),),
        files=laptop_files(),
        admin_socket=tmp_path / "admin.sock",
        access_log=tmp_path / "access.log",
        health_check_interval_seconds=0.25,
        trusted_proxy_hops=2,
    )


def cluster_of(settings: EdgeSettings, name: str = "routing") -> dict:
    clusters = yaml.safe_load(render(settings))["static_resources"]["clusters"]
    [cluster] = [cluster for cluster in clusters if cluster["name"] == name]
    return cluster


def validate(config: Path) -> tuple[int, str]:
    command = [*binary.command(binary.find(), config), "--mode", "validate"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return outcome.returncode, outcome.stdout + outcome.stderr


def test_envoy_accepts_the_laptops_rendering_without_a_warning(laptop, tmp_path):
    config = tmp_path / "envoy.yaml"
    config.write_text(render(laptop), encoding="utf-8")

    status, said = validate(config)

    assert status == 0, said
    assert "warning" not in said


def test_envoy_accepts_the_rendering_for_compose(tmp_path):
    config = tmp_path / "envoy.yaml"
    # The same, but for the place of the files: /etc/envoy exists in the container only.
    config.write_text(render(replace(COMPOSE, files=laptop_files())), encoding="utf-8")

    status, said = validate(config)

    assert status == 0, said
    assert "warning" not in said


def test_the_committed_rendering_is_fresh():
    committed = (CHECKOUT / "envoy" / "envoy.yaml").read_text(encoding="utf-8")

    assert committed == render(COMPOSE), "run `make envoy`"


def test_compose_finds_routing_by_name():
    cluster = cluster_of(COMPOSE)

    assert cluster["type"] == "STRICT_DNS"
    assert cluster["load_assignment"]["endpoints"] == [
        {
            "lb_endpoints": [
                {
                    "endpoint": {
                        "address": {"socket_address": {"address": "routing", "port_value": 9000}}
                    }
                }
            ]
        }
    ]


def test_the_cluster_of_auth_is_that_of_routing_at_other_addresses(laptop):
    routing, auth = cluster_of(laptop), cluster_of(laptop, "auth")

    place = auth["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    assert place["socket_address"]["port_value"] == 9002
    differing = {"name", "load_assignment"}
    assert {name: value for name, value in auth.items() if name not in differing} == {
        name: value for name, value in routing.items() if name not in differing
    }


def test_addresses_need_no_dns(laptop):
    cluster = cluster_of(laptop)

    assert cluster["type"] == "STATIC"
    assert len(cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]) == 2


def test_a_name_among_addresses_needs_dns(laptop):
    mixed = replace(laptop, routing=(Address("127.0.0.1", 9000), Address("routing", 9000)))

    assert cluster_of(mixed)["type"] == "STRICT_DNS"


def test_paths_are_quoted(laptop):
    awkward = replace(laptop, access_log=Path('/tmp/a "b": c/access.log'))

    assert '/tmp/a \\"b\\": c/access.log' in render(awkward)
    yaml.safe_load(render(awkward))


@pytest.mark.parametrize("sampling", [Sampling(True, 0.1), Sampling(False, 1.0)])
def test_envoy_takes_part_in_traces_by_the_same_decision(laptop, tmp_path, sampling):
    traces = TracingSettings("http://127.0.0.1:4318/v1/traces", sampling, "ours")
    config = tmp_path / "envoy.yaml"
    config.write_text(render(replace(laptop, traces=traces)), encoding="utf-8")

    status, said = validate(config)
    [tracer] = re.findall(r"^ +tracing: (.*)$", config.read_text(), re.MULTILINE)
    settings = json.loads(tracer)["provider"]["typed_config"]

    assert status == 0, said
    assert "warning" not in said
    assert settings["service_name"] == "ours-edge"
    assert settings["http_service"]["http_uri"]["uri"] == traces.endpoint
    assert ("parent_based" in settings["sampler"]["name"]) == sampling.follows_parent
    assert f'"numerator": {round(sampling.ratio * 1_000_000)}' in tracer


def test_a_collector_with_a_name_needs_dns(laptop):
    traces = TracingSettings("http://collector:4318/v1/traces", Sampling(True, 0.1))

    assert cluster_of(replace(laptop, traces=traces), "collector")["type"] == "STRICT_DNS"


@pytest.mark.parametrize(
    "traces",
    [
        None,
        TracingSettings("https://collector.example/v1/traces", Sampling(True, 0.1)),
        TracingSettings("http://collector:4318/v1/traces", Sampling(True, 0.1), needs_headers=True),
    ],
)
def test_envoy_leaves_traces_to_the_services_where_it_would_need_a_credential(laptop, traces):
    rendered = yaml.safe_load(render(replace(laptop, traces=traces)))

    names = [cluster["name"] for cluster in rendered["static_resources"]["clusters"]]
    assert "collector" not in names
    assert "opentelemetry" not in render(replace(laptop, traces=traces))


def test_no_placeholder_remains(laptop):
    assert "$" not in render(laptop)


def test_the_files_are_those_of_the_checkout():
    assert assets.directory() == CHECKOUT / "envoy"
