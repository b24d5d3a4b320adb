"""What a request leaves to be done when nobody waits for it any more."""

from collections.abc import Callable

import structlog

from meshgate.runtime.telemetry import described

_log = structlog.get_logger("meshgate.routing")

_TOGETHER = 32


class Afterwards:
    """Does such things together: one after the other they take half the time.

    More than a few never wait; whoever owns this sees to it that few do not wait for long.
    """

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, work: Callable[[], None]) -> None:
        """Have something done, after all that was put in before."""
        self._waiting.append(work)
        if len(self._waiting) >= _TOGETHER:
            self.run()

    def run(self) -> None:
        """Do what waits."""
        waiting, self._waiting = self._waiting, []
        for work in waiting:
            try:
                work()
            except Exception as error:
                # One request's books are not another's.
                _log.error("a request could not be concluded", **described(error))
