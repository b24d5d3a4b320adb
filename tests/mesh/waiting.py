"""Waiting for what comes true by itself."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], Awaitable[bool]], bound_seconds: float = 30) -> None:
    """Ask again and again until it is true."""
    async with asyncio.timeout(bound_seconds):
        while not await condition():
            await asyncio.sleep(0.05)
