"""How long each phase of an attempt may take, and the clock that holds it to that."""

import asyncio
import enum
import math
import time
from types import TracebackType

from msgspec import Struct

UNBOUNDED = math.inf


class Phase(enum.Enum):
    """What an attempt is doing."""

    CONNECT = "connect"
    FIRST_TOKEN = "first_token"  # noqa: S105 - tokens of language
    BETWEEN_TOKENS = "between_tokens"
    TOTAL = "total"


class PhaseTimeoutError(Exception):
    """A phase took longer than it may."""

    def __init__(self, phase: Phase) -> None:
        super().__init__(phase.value)
        self.phase = phase


class PhaseTimeouts(Struct, frozen=True):
    """Seconds that each phase may take; UNBOUNDED bounds nothing.

    Attributes:
        connect_seconds: Until the connection stands.
        first_token_seconds: From sending the request to the first byte of the answer's body.
        between_tokens_seconds: Between two reads of a streamed answer.
        total_seconds: The whole attempt.
    """

    connect_seconds: float = UNBOUNDED
    first_token_seconds: float = UNBOUNDED
    between_tokens_seconds: float = UNBOUNDED
    total_seconds: float = UNBOUNDED


class PhaseClock:
    """Bounds the waits of one attempt, and takes its times.

    Enter it around every wait for the upstream, and only there: time that the caller takes to read
    is not the upstream's. `first_byte` ends the first phase.

    It keeps one timer and moves it on only when that fires, for a timer a chunk would cost more
    than all the rest that is done with a chunk. Close it at the end of the attempt.
    """

    __slots__ = (
        "_at",
        "_cancelling",
        "_expired",
        "_loop",
        "_phase",
        "_seconds",
        "_task",
        "_timer",
        "_timer_at",
        "_total_at",
        "first_byte_at",
        "started_at",
        "timeouts",
    )

    def __init__(self, timeouts: PhaseTimeouts) -> None:
        self.timeouts = timeouts
        self.started_at = time.monotonic()
        self.first_byte_at: float | None = None
        self._total_at = self.started_at + timeouts.total_seconds
        self._phase = Phase.FIRST_TOKEN
        self._seconds = UNBOUNDED
        self._at = self.started_at + timeouts.first_token_seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = UNBOUNDED
        self._cancelling = 0
        self._expired = False

    def first_byte(self) -> None:
        """Take note that the body has begun: what counts now is the time between two reads."""
        if self.first_byte_at is None:
            self.first_byte_at = time.monotonic()
            self.between(self.timeouts.between_tokens_seconds)

    def between(self, seconds: float) -> None:
        """From now on each wait may take so many seconds."""
        self._phase, self._seconds, self._at = Phase.BETWEEN_TOKENS, seconds, UNBOUNDED

    def __enter__(self) -> None:
        # Looking the loop up costs more than looking its task up, and only the task can change.
        loop = self._loop = self._loop or asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a PhaseClock bounds the waits of tasks")
        now = time.monotonic()
        if self._seconds != UNBOUNDED:
            self._at = now + self._seconds
        self._task = task
        self._cancelling = task.cancelling()
        if self._at < self._timer_at or self._total_at < self._timer_at:
            self._arm(now)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if not self._expired or task is None:
            return
        self._expired = False
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise PhaseTimeoutError(self._bound()[1]) from None

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, UNBOUNDED

    def _bound(self) -> tuple[float, Phase]:
        """When the present wait must end, and what has then taken too long."""
        if self._at < self._total_at:
            return self._at, self._phase
        return self._total_at, Phase.TOTAL

    def _arm(self, now: float) -> None:
        self.close()
        self._timer_at = self._bound()[0]
        seconds = max(0.0, self._timer_at - now)
        self._timer = asyncio.get_running_loop().call_later(seconds, self._fire)

    def _fire(self) -> None:
        self._timer, self._timer_at = None, UNBOUNDED
        if self._task is None:
            return
        now = time.monotonic()
        if now < self._bound()[0]:
            self._arm(now)
            return
        self._expired = True
        self._task.cancel()
