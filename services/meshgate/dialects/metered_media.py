"""Counting of streamed media: of what is no text, nothing; the upstream or the request says it."""

from meshgate.dialects.neutral import FinishReason, Usage


class MediaTally:
    """Counts a stream that holds no text, as pictures and sounds: its usage comes from elsewhere."""

    @property
    def text_bytes(self) -> int:
        return 0

    @property
    def kept_bytes(self) -> int:
        return 0

    @property
    def ended(self) -> bool:
        return False

    def take(self, chunk: bytes) -> None:
        """Nothing is counted."""

    def texts(self) -> list[str]:
        return []

    def ending(self, reason: FinishReason, usage: Usage | None, *, include_usage: bool) -> bytes:
        """Nothing: such a stream is not ended early, since nothing in it is counted or looked at."""
        del reason, usage, include_usage
        return b""
