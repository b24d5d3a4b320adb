"""Text that is gathered while it passes, in bounded memory."""

from collections import defaultdict
from collections.abc import Hashable

DEFAULT_LIMIT_BYTES = 2 * 1024 * 1024


class TalliedText:
    """Texts that come in pieces, several at a time. `size_bytes` is that of all, in UTF-8.

    Args:
        limit_bytes: How much is kept; of what comes after, only the size is.
    """

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self.size_bytes = 0
        self._limit_bytes = limit_bytes
        # A string for each piece would take many times the memory.
        self._kept: defaultdict[Hashable, bytearray] = defaultdict(bytearray)

    def add(self, key: Hashable, piece: str) -> None:
        """Take the next piece of the text `key`."""
        encoded = piece.encode(errors="replace")
        self.size_bytes += len(encoded)
        if self.size_bytes <= self._limit_bytes:
            self._kept[key] += encoded

    @property
    def kept_bytes(self) -> int:
        return sum(map(len, self._kept.values()))

    def texts(self) -> list[str]:
        """Each text, as far as it is kept."""
        return [text.decode() for text in self._kept.values()]


class TextTally:
    """What the tallies of streams that tell text have in common.

    Attributes:
        ended: Whether the stream has come to its own end.

    Args:
        limit_bytes: How much text is kept.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.ended = False
        self._text = TalliedText(limit_bytes)

    @property
    def text_bytes(self) -> int:
        return self._text.size_bytes

    @property
    def kept_bytes(self) -> int:
        return self._text.kept_bytes

    def texts(self) -> list[str]:
        """What was written: each text in one piece."""
        return self._text.texts()
