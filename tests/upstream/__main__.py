"""Runs a fake upstream until SIGINT or SIGTERM: `python -m upstream --port N [--api-key KEY]`.

Prints its base URL as soon as it serves.
"""

import argparse
import asyncio
import signal

from upstream.server import FakeUpstream


async def _run(port: int, api_key: str | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with FakeUpstream(port=port, api_key=api_key) as upstream:
        print(upstream.base_url, flush=True)  # noqa: T201 - this is its answer
        await stop.wait()


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m upstream", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--api-key", help="others get a 401")
    options = parser.parse_args()
    asyncio.run(_run(options.port, options.api_key))


if __name__ == "__main__":
    _main()
