"""A circuit breaker: whoever has failed several times in a row is left alone for a while."""

import time
from collections.abc import Callable


class Breaker:
    """Says whether it is worth asking.

    After so many failures in a row it is not, for `pause_seconds`; then one caller at a time may try,
    and the first success lets all of them ask again.

    Args:
        failures: How many it takes.
        pause_seconds: How long nobody asks, from the last failure on.
        now: The monotonic clock.
    """

    def __init__(
        self,
        failures: int = 3,
        pause_seconds: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_failures = failures
        self._pause_seconds = pause_seconds
        self._now = now
        self._failures = 0
        self._closed_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether so many failures have come that not everybody may ask."""
        return self._failures >= self._most_failures

    def allows(self) -> bool:
        """Whether to ask now. Who was allowed to says afterwards how it went."""
        if not self.is_open:
            return True
        now = self._now()
        if now < self._closed_until:
            return False
        # The others wait for how this one fares, and no longer than a pause.
        self._closed_until = now + self._pause_seconds
        return True

    def succeeded(self) -> None:
        """It answered."""
        self._failures = 0

    def failed(self) -> None:
        """It did not."""
        self._failures += 1
        self._closed_until = self._now() + self._pause_seconds
