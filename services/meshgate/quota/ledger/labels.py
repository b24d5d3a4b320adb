"""Names that lines refer to by a number."""

import enum

LONGEST_LABEL_BYTES = 2_000
"""What an index of PostgreSQL still takes."""


class Kind(enum.IntEnum):
    """What a name is the name of. The numbers are stored: they never change."""

    ORGANIZATION = 1
    TEAM = 2
    USER = 3
    KEY = 4
    MODEL = 5
    TARGET = 6
    TAGS = 7
    """All tags of a request together, as JSON with sorted names."""


def storable(text: str) -> str:
    """The text as every database keeps it: without NUL, and not too long for an index."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if len(text) <= LONGEST_LABEL_BYTES // 4:
        return text
    return text.encode()[:LONGEST_LABEL_BYTES].decode(errors="ignore")
