"""Streams that tell at their end what they have cost, for callers who ask for it."""

from typing import Protocol

from meshgate.dialects.neutral import Usage


class CostedStream(Protocol):
    """Holds back the end of one stream until its cost is known."""

    def take(self, chunk: bytes) -> bytes:
        """What may go to the caller of a chunk: whole events."""
        ...

    def rest(self) -> bytes:
        """What is held back, as it came."""
        ...

    def ending(self, usage: Usage | None, cost_usd: str | None) -> bytes:
        """The end.

        Args:
            usage: What the answer consumed, if that is known.
            cost_usd: What it has cost, if that is known.
        """
        ...
