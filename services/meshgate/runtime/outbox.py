"""What answers leave by: together, where many are on their way."""

import asyncio
from collections.abc import Callable

_BUSY_FROM_CALLS = 8
_LONGEST_WAIT_SECONDS = 0.001


class Outbox:
    """Keeps what is to be sent for a moment, so that whoever carries it on wakes once for many.

    Where few calls are in flight, all leaves at the end of this turn of the loop; where there are
    many, within a millisecond. To wake a thread for each answer alone, and then Envoy behind it,
    took a tenth of all CPU under load.

    Args:
        in_flight: How many calls are being answered.
    """

    def __init__(self, in_flight: Callable[[], int]) -> None:
        self._in_flight = in_flight
        self._kept: list[Callable[[], None]] = []

    def put(self, send: Callable[[], None]) -> None:
        """Have something sent soon, after all that was put in before. It must not raise."""
        if not self._kept:
            loop = asyncio.get_running_loop()
            if self._in_flight() < _BUSY_FROM_CALLS:
                loop.call_soon(self.flush)
            else:
                loop.call_later(_LONGEST_WAIT_SECONDS, self.flush)
        self._kept.append(send)

    def flush(self) -> None:
        """Send all of it now."""
        kept, self._kept = self._kept, []
        for send in kept:
            send()
