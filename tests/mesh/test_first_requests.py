"""The first requests that the README shows, as somebody pastes them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from gateway_process import KEY, Gateway

pytestmark = pytest.mark.mesh

README = Path(__file__).parents[2] / "README.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
SECONDS = 60


def test_each_kind_of_client_is_shown() -> None:
    imported = [re.findall(r"^(?:from|import) (\w+)", each, re.MULTILINE) for each in SNIPPETS]

    assert [names[1] for names in imported] == ["openai", "anthropic", "google", "grpc"]


@pytest.mark.parametrize("gateway", ["compact"], indirect=True)
@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda each: each.splitlines()[0])
def test_it_is_answered(gateway: Gateway, tmp_path: Path, snippet: str) -> None:
    data = tmp_path / ".local/share/meshgate"
    data.mkdir(parents=True)
    (data / "admin.key").write_text(KEY + "\n")
    address = gateway.base_url.removeprefix("http://")
    pasted = snippet.replace("127.0.0.1:8080", address).replace('"demo"', '"vendor/demo"')

    run = subprocess.run(
        [sys.executable, "-c", pasted],
        env={**os.environ, "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert run.stdout.strip().endswith("You said: Hello!"), run.stderr
