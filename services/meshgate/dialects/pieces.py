"""Requests that ask for several things of one kind, and the answers to them, piece by piece."""

from msgspec import Raw, Struct

MOST_PIECES = 256
"""Requests of more are not cut: each piece costs time that all other requests wait."""


class RequestPiece(Struct, frozen=True):
    """One of the things that a request asks for.

    Attributes:
        form: The one form of a request for this alone.
        text_bytes: How long its text is, in UTF-8.
        tokens: How many tokens it has, where it is cut into tokens already.
    """

    form: bytes
    text_bytes: int = 0
    tokens: int | None = None


class AnswerPiece(Struct, frozen=True):
    """What answers one of them, every number as the upstream wrote it.

    Attributes:
        answer: The members of the whole answer that it comes from.
        item: Its own members.
    """

    answer: dict[str, Raw]
    item: dict[str, Raw]
