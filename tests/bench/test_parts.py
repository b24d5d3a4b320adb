import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from bench import compiling
from bench.compiling import CompileError, compiled
from bench.gateways import ENVOY_CONFIG, LIMITS, MESHGATE_CONFIG, services_by_pid
from bench.loading import LoadError, read
from bench.processes import cpu_seconds, kind_of, running, tree

FOREVER = "import signal; signal.pause()"
WITH_A_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {FOREVER!r}])
print("ready", flush=True)
child.wait()
"""


def wait_for(path: Path, text: str) -> None:
    end = time.monotonic() + 10
    while text not in path.read_text():
        assert time.monotonic() < end
        os.sched_yield()


def test_a_missing_compiler_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "CACHE", tmp_path)
    monkeypatch.setenv("CC", "no-such-compiler")

    with pytest.raises(CompileError, match="no `no-such-compiler`: install gcc"):
        compiled("load")


def test_a_tree_ends_with_the_block_that_ran_it(tmp_path: Path) -> None:
    log = tmp_path / "log"

    with running([sys.executable, "-c", WITH_A_CHILD], log) as process:
        wait_for(log, "ready")
        family = tree(process.pid)
        seconds = cpu_seconds(process.pid)

    assert len(family) == 2
    assert [member.kind for member in family] == ["python", "python"]
    assert seconds.keys() == {"python"}
    assert process.returncode is not None
    assert not any(member in tree(member.pid) for member in family)


def test_processes_are_told_apart_by_their_program() -> None:
    names = ["envoy", "python3.11", "valkey-server"]

    assert [kind_of(name) for name in names] == ["envoy", "python", "other"]


def test_the_pids_of_a_ready_file_name_the_services() -> None:
    pids: dict[str, int | list[int]] = {"envoy": 1, "routing": [3, 4]}

    assert services_by_pid(pids) == {1: "envoy", 3: "routing", 4: "routing"}


def test_configurations_are_yaml_with_the_mock_as_upstream() -> None:
    without = yaml.safe_load(MESHGATE_CONFIG.format(upstream=9))
    meshgate = yaml.safe_load(MESHGATE_CONFIG.format(upstream=9) + LIMITS)
    envoy = yaml.safe_load(ENVOY_CONFIG.format(port=8, upstream=9))

    assert meshgate["providers"]["mock"]["base_url"] == "http://127.0.0.1:9/v1"
    assert without["keys"] == [{"name": "bench", "key": "${env:BENCH_KEY}"}]
    assert meshgate["keys"][0]["limits"]["budget"]["enforce"] == "strict"
    assert envoy["static_resources"]["listeners"][0]["address"]["socket_address"] == {
        "address": "127.0.0.1",
        "port_value": 8,
    }


def test_a_load_without_answers_is_no_measurement() -> None:
    with pytest.raises(LoadError, match="no answer at all, 7 failures"):
        read({"requests": 0, "failed": 7})


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--rounds", "0"], ["--scale", "x"]])
def test_wrong_options_are_refused(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "usage: python -m bench" in done.stderr
