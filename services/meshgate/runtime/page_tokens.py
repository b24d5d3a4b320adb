"""Page tokens: where a list goes on, signed, so that one that lies is told."""

import base64
import binascii
import hashlib
import hmac
from typing import Generic, Protocol, TypeVar

import msgspec

from meshgate.runtime.errors import InvalidRequestError

P = TypeVar("P")

MARK_BYTES = 16
_MOST_CHARACTERS = 4_096


class Seal(Protocol):
    """Makes marks that nobody else can make."""

    def sign(self, content: bytes) -> bytes:
        """A mark of MARK_BYTES for this content."""
        ...

    def is_signed(self, content: bytes, mark: bytes) -> bool:
        """Whether the mark was made for this content."""
        ...


class SecretSeal:
    """A seal that whoever knows a secret can make and test.

    Args:
        secret: What is shared.
        purpose: A mark for another purpose is of no use for this one.
    """

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._key = hmac.digest(secret, purpose.encode(), "sha256")

    def sign(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")[:MARK_BYTES]

    def is_signed(self, content: bytes, mark: bytes) -> bool:
        return hmac.compare_digest(mark, self.sign(content))


class SealedPositions(Generic[P]):
    """Makes and reads tokens.

    Args:
        seal: Signs them.
        kind: Of positions: what msgspec can read.
        most_characters: No token is longer.
    """

    def __init__(self, seal: Seal, kind: type[P], most_characters: int = _MOST_CHARACTERS) -> None:
        self._seal = seal
        self._decoder: msgspec.json.Decoder[tuple[str, P]] = msgspec.json.Decoder(tuple[str, kind])  # type: ignore[valid-type]
        self._most_characters = most_characters

    def token(self, of: object, position: P) -> str:
        """The token for what comes after a position in a list.

        Args:
            of: What was asked for, all but the page: its `repr` must tell it from others.
            position: The last of the page.
        """
        content = msgspec.json.encode((_digest(of), position))
        return base64.urlsafe_b64encode(self._seal.sign(content) + content).decode().rstrip("=")

    def position(self, of: object, token: str) -> P | None:
        """Where the list goes on; None for an empty token: at its beginning.

        Raises:
            InvalidRequestError: The token was not made here, or for another list.
        """
        if not token:
            return None
        content = self._content(token)
        if content is None:
            raise InvalidRequestError(
                "the page token is not one that was given out: begin without one",
                field="page_token",
            )
        digest, position = content
        if digest != _digest(of):
            raise InvalidRequestError(
                "the page token belongs to another list: ask for the same one, or begin without it",
                field="page_token",
            )
        return position

    def _content(self, token: str) -> tuple[str, P] | None:
        if len(token) > self._most_characters:
            return None
        try:
            signed = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            return None
        mark, content = signed[:MARK_BYTES], signed[MARK_BYTES:]
        if not self._seal.is_signed(content, mark):
            return None
        try:
            return self._decoder.decode(content)
        except msgspec.DecodeError:
            return None  # of another version


def page_size(asked_for: int, usual: int, largest: int) -> int:
    """How much a page has.

    Raises:
        InvalidRequestError: Less than nothing is asked for.
    """
    if asked_for < 0:
        raise InvalidRequestError(
            f"the page size is {asked_for}: it must be 0 or more",
            field="page_size",
            page_size=str(asked_for),
        )
    return min(asked_for or usual, largest)


def _digest(of: object) -> str:
    return hashlib.sha256(repr(of).encode()).hexdigest()[:16]
