"""How long a call may still take."""

import time
from typing import Any

from msgspec import Struct

from meshgate.runtime.errors import DeadlineExceededError

DEFAULT_SECONDS = 600.0
"""What a caller gets that names no deadline: none of our calls runs for ever."""


class Deadline(Struct, frozen=True):
    """A moment of the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        return cls(time.monotonic() + seconds)

    @classmethod
    def from_context(cls, context: Any, at_most: float = DEFAULT_SECONDS) -> "Deadline":
        """The deadline of an incoming call, `at_most` seconds from now."""
        remaining = context.time_remaining()
        return cls.after(at_most if remaining is None else min(remaining, at_most))

    def seconds_left(self, at_most: float = DEFAULT_SECONDS) -> float:
        """Seconds that an outgoing call may take.

        Raises:
            DeadlineExceededError: None are left.
        """
        left = self.at - time.monotonic()
        if left <= 0:
            raise DeadlineExceededError("the deadline of the request has passed")
        return min(left, at_most)
