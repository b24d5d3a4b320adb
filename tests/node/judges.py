"""Runs the SDKs for Node against a gateway: `PYTHONPATH=services:gen:tests python -m node.judges`.

What follows is given to `node --test`, such as the name of a file.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from gateway_process import Gateway, running_gateway, running_upstream
from upstream import Behaviour, Cut, ErrorEvent, Refuse, RemoteUpstream, ToolCall

_HERE = Path(__file__).parent
_WEATHER = ToolCall(name="get_weather", arguments='{"city": "Paris"}')
# By what the tests say in their prompts.
_SCRIPTS = {
    "weather": Behaviour(tool_calls=(_WEATHER,)),
    "in JSON": Behaviour(text='{"city": "Paris", "degrees": 21}'),
    "too much": Behaviour(fault=Refuse(429, message="slow down")),
    "nonsense": Behaviour(fault=Refuse(400, message="because so")),
    "broken off": Behaviour(fault=Cut(after_events=3)),
    "failing": Behaviour(fault=ErrorEvent(after_events=3)),
}


def main() -> int:
    """Start all that is needed, run the tests, and return what they did."""
    with (
        tempfile.TemporaryDirectory() as directory,
        running_upstream() as upstream,
        running_gateway(Path(directory), upstream, "--compact") as gateway,
    ):
        asyncio.run(_script(upstream))
        command = [
            "node",
            "--test",
            "--test-reporter=spec",
            *(sys.argv[1:] or sorted(map(str, _HERE.glob("*.test.js")))),
        ]
        return subprocess.run(command, cwd=_HERE, env=_environment(gateway), check=False).returncode


async def _script(origin: str) -> None:
    async with RemoteUpstream(origin) as upstream:
        for words, behaviour in _SCRIPTS.items():
            await upstream.script(words, behaviour)


def _environment(gateway: Gateway) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "MESHGATE_URL": gateway.base_url,
        "MESHGATE_KEY": gateway.key,
    }


if __name__ == "__main__":
    sys.exit(main())
