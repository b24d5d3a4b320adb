"""Which Envoy is run, and how."""

from pathlib import Path

import pytest

from meshgate.edge import binary


def test_the_packaged_binary_is_found():
    assert binary.find({}).is_file()


def test_a_named_binary_goes_first(tmp_path: Path):
    own = tmp_path / "envoy"
    own.touch(mode=0o755)

    assert binary.find({"MESHGATE_ENVOY": str(own)}) == own


def test_a_named_binary_that_cannot_run_is_refused(tmp_path: Path):
    own = tmp_path / "envoy"
    own.touch(mode=0o644)

    with pytest.raises(binary.BinaryMissingError, match="MESHGATE_ENVOY"):
        binary.find({"MESHGATE_ENVOY": str(own)})


def test_the_command_says_how_many_threads_and_how_soon_the_log_is_written():
    command = binary.command(
        Path("/bin/envoy"), Path("/etc/envoy.yaml"), concurrency=2, log_flush_seconds=0.5
    )

    assert command[:3] == ["/bin/envoy", "--config-path", "/etc/envoy.yaml"]
    assert command[command.index("--concurrency") + 1] == "2"
    assert command[command.index("--file-flush-interval-msec") + 1] == "500"


def test_envoys_of_one_machine_share_nothing():
    command = binary.command(Path("/bin/envoy"), Path("/etc/envoy.yaml"))

    assert "--disable-hot-restart" in command
