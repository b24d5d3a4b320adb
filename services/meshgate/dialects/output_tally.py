"""What counts the output of a stream."""

from typing import Protocol

from meshgate.dialects.neutral import FinishReason, Usage


class OutputTally(Protocol):
    """Counts the output of one stream while it passes, and knows how to end it."""

    @property
    def text_bytes(self) -> int:
        """How much was written so far, in UTF-8; at least one byte goes into a token."""
        ...

    @property
    def kept_bytes(self) -> int:
        """How much of it `texts` holds: all, unless it is more than the tally keeps."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the stream has said its end; nothing may follow."""
        ...

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk that goes to the caller: whole events."""
        ...

    def texts(self) -> list[str]:
        """What was written, for a tokenizer: each text in one piece."""
        ...

    def ending(self, reason: FinishReason, usage: Usage | None, *, include_usage: bool) -> bytes:
        """The events that end the stream well after what was taken so far.

        Args:
            reason: Why, for what has not finished by itself.
            usage: What the answer consumed, if that is known.
            include_usage: Whether the caller asked for it, as the request's head says.
        """
        ...
