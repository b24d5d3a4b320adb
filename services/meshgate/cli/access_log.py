"""Envoy's access log, which it writes itself, and never shortens."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

MAXIMUM_BYTES = 64 * 1024 * 1024
_INTERVAL_SECONDS = 5.0


class AccessLog:
    """Keeps the access log bounded: what is older than MAXIMUM_BYTES is dropped, by halves.

    Args:
        path: The file.
        reopen: Has Envoy begin a new file at the path.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        path: Path,
        reopen: Callable[[], Awaitable[None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._path = path
        self._reopen = reopen
        self._sleep = sleep

    def rotate(self) -> None:
        """Put the file aside, in place of the one that was put aside before."""
        with contextlib.suppress(FileNotFoundError):
            self._path.replace(self._path.with_name(self._path.name + ".1"))

    async def keep_small(self) -> None:
        """Rotate whenever half of the bound is reached; without end."""
        while True:
            await self._sleep(_INTERVAL_SECONDS)
            if self._size_bytes() >= MAXIMUM_BYTES // 2:
                self.rotate()
                await self._reopen()

    def _size_bytes(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0
