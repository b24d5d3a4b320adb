"""A service by itself: `python -m meshgate.<service>`."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("service", ["auth", "quota", "cache", "provider", "routing"])
def test_a_wrong_setting_is_one_sentence_and_status_1(service: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"meshgate.{service}"],
        env={"MESHGATE_INSECURE_MESH": "perhaps"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "meshgate: MESHGATE_INSECURE_MESH is 'perhaps'; it must be true or false\n"
    )
