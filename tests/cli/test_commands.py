"""Exit statuses and sentences of the commands that need no gateway."""

import json
import os
import socket
import subprocess
import sys

import pytest

from meshgate.cli.data_directory import DataDirectory

GOOD = """
providers: {demo: {kind: demo}}
models: {demo: {targets: [{provider: demo}]}}
"""
BAD = """
models:
  demo: {targets: [{provider: nobody}]}
"""


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["up"],
        ["serve"],
        ["chat"],
        ["models"],
        ["prices"],
        ["status"],
        ["config"],
        ["config", "check"],
        ["config", "schema"],
    ],
)
def test_every_command_has_help_with_examples(run, command):
    result = run(*command, "--help")

    assert result.exit_code == 0
    assert "\n  Examples:\n    meshgate " in result.stdout


def test_the_version_is_told(run):
    result = run("--version")

    assert result.exit_code == 0
    assert result.stdout.startswith("meshgate, version ")


def test_an_unknown_command_is_a_usage_error(run):
    assert run("fly").exit_code == 2


def test_an_unknown_service_is_a_usage_error(run):
    result = run("serve", "auth", "nobody")

    assert result.exit_code == 2
    assert (
        "'nobody' is not one of 'auth', 'quota', 'cache', 'guardrails', 'provider', 'routing'"
        in result.stderr
    )


@pytest.mark.parametrize("address", ["localhost", ":8080", "localhost:http"])
def test_a_service_listens_at_a_host_and_a_port(run, address):
    result = run("serve", "auth", "--listen", address)

    assert result.exit_code == 2
    assert "is not of the form HOST:PORT" in result.stderr


def test_a_service_whose_port_is_taken_says_so():
    # In a process of its own: hosting a service sets up logging and signals for good.
    command = [sys.executable, "-m", "meshgate.cli.main", "serve", "auth"]
    env = {**os.environ, "MESHGATE_INSECURE_MESH": "true"}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"

        result = subprocess.run(
            [*command, "--listen", address], env=env, capture_output=True, text=True, check=False
        )

    assert result.returncode == 1
    assert f"\nError: cannot serve: {address}: Address already in use" in result.stderr


def test_a_service_whose_settings_are_wrong_says_which(run, monkeypatch):
    monkeypatch.delenv("MESHGATE_MESH_TOKEN", raising=False)

    result = run("serve", "auth")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: MESHGATE_MESH_TOKEN is not set: ")


def test_a_right_configuration_is_right(run, tmp_path):
    (tmp_path / "good.yaml").write_text(GOOD)

    result = run("config", "check", "good.yaml")

    assert (result.exit_code, result.stdout) == (0, "good.yaml is right.\n")


def test_each_problem_of_a_configuration_has_its_line(run, tmp_path):
    (tmp_path / "bad.yaml").write_text(BAD)

    result = run("config", "check", "bad.yaml")

    assert result.exit_code == 1
    assert result.stderr.startswith("bad.yaml:3: models.demo.targets[0].provider: ")


def test_problems_are_told_as_json(run, tmp_path):
    (tmp_path / "bad.yaml").write_text(BAD)

    result = run("config", "check", "bad.yaml", "--json")

    assert result.exit_code == 1
    [problem] = json.loads(result.stdout)
    assert (problem["file"], problem["line"]) == ("bad.yaml", 3)
    assert problem["field"] == "models.demo.targets[0].provider"


def test_a_right_configuration_has_no_problems_as_json(run, tmp_path):
    (tmp_path / "good.yaml").write_text(GOOD)

    result = run("config", "check", "good.yaml", "--json")

    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_a_missing_secret_counts_where_it_is_asked_about(run, tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    (tmp_path / "good.yaml").write_text(
        GOOD.replace("{kind: demo}", '{kind: openai, api_key: "${env:NO_SUCH_KEY}"}')
    )

    without = run("config", "check", "good.yaml")
    with_secrets = run("config", "check", "good.yaml", "--secrets")

    assert (without.exit_code, with_secrets.exit_code) == (0, 1)
    assert "NO_SUCH_KEY" in with_secrets.stderr


def test_the_schema_is_json(run):
    result = run("config", "schema")

    assert result.exit_code == 0
    assert "models" in json.loads(result.stdout)["properties"]


def test_nothing_starts_with_a_wrong_configuration(run, tmp_path):
    (tmp_path / "meshgate.yaml").write_text(BAD)

    result = run("up", "--port", "0")

    assert result.exit_code == 1
    assert result.stderr.startswith("meshgate.yaml:3: models.demo.targets[0].provider: ")


def test_a_taken_port_is_one_sentence(run):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        result = run("up", "--port", str(port))

    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: 127.0.0.1:{port} is taken: stop what listens there, or choose another --port\n"
    )


def test_a_data_directory_in_use_is_one_sentence(run, tmp_path):
    with DataDirectory(tmp_path / "data").locked():
        result = run("up", "--port", "0")

    assert result.exit_code == 1
    assert f"a gateway already runs on {tmp_path / 'data'} (process " in result.stderr


def test_a_host_is_an_address(run):
    result = run("up", "--host", "example.com")

    assert result.exit_code == 2
    assert "'example.com' is not an IP address" in result.stderr
