"""Looking up the addresses of a host, without waiting for an answer that was lost."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

Address = tuple[str, int]

_PATIENCE_SECONDS = 1.0
_AT_ONCE = 8


def _addresses(host: str, port: int) -> set[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return {(str(where[0]), port) for *_, where in found}


class NameLookup:
    """Finds the addresses of hosts.

    A name server that starts anew loses questions, and who asked it hangs: for 20 s, unless the
    system says otherwise. The next question would be answered at once. So each is given up after
    a second, though its thread hangs on; and threads are this lookup's own, because in those that
    it shared, a few that hang would keep all other names waiting too.

    Args:
        find: Finds the addresses of a host, and may block.
        patience_seconds: For how long to wait for that.
    """

    def __init__(
        self,
        find: Callable[[str, int], set[Address]] = _addresses,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._find = find
        self._patience_seconds = patience_seconds
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lookup")

    async def __call__(self, host: str, port: int) -> set[Address]:
        """The addresses behind a host.

        Raises:
            OSError: There are none, or nobody said so in time.
            UnicodeError: This is no name.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._patience_seconds):
            return await loop.run_in_executor(self._threads, self._find, host, port)
