"""Page tokens: where a list goes on, signed, so that one that lies is told."""

import base64
import binascii
import hashlib

import msgspec

from meshgate.auth.credentials import Peppers
from meshgate.auth.directory import LARGEST_PAGE_SIZE, USUAL_PAGE_SIZE, Query
from meshgate.runtime.errors import InvalidRequestError

_MARK_BYTES = 16
_MOST_CHARACTERS = 4_096


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The last record of a page: the next one begins after it."""

    name: str
    record_id: str


class _Content(msgspec.Struct, frozen=True, array_like=True):
    """What a token says: of which list, and where."""

    list_digest: str
    position: Position


class PageTokens:
    """Makes and reads the tokens of all lists."""

    def __init__(self, peppers: Peppers) -> None:
        self._peppers = peppers

    def token(self, kind: str, query: Query, position: Position) -> str:
        """The token for what comes after a position in a list."""
        content = msgspec.json.encode(_Content(_digest(kind, query), position))
        return base64.urlsafe_b64encode(self._peppers.sign(content) + content).decode().rstrip("=")

    def position(self, kind: str, query: Query, token: str) -> Position | None:
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
        if content.list_digest != _digest(kind, query):
            raise InvalidRequestError(
                "the page token belongs to another list: ask for the same one, or begin without it",
                field="page_token",
            )
        return content.position

    def _content(self, token: str) -> _Content | None:
        if len(token) > _MOST_CHARACTERS:
            return None
        try:
            signed = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            return None
        mark, content = signed[:_MARK_BYTES], signed[_MARK_BYTES:]
        if not self._peppers.is_signed(content, mark):
            return None
        try:
            return msgspec.json.decode(content, type=_Content)
        except msgspec.DecodeError:
            return None  # of another version


def page_size(asked_for: int) -> int:
    """How many records a page has.

    Raises:
        InvalidRequestError: Less than nothing is asked for.
    """
    if asked_for < 0:
        raise InvalidRequestError(
            f"the page size is {asked_for}: it must be 0 or more",
            field="page_size",
            page_size=str(asked_for),
        )
    return min(asked_for or USUAL_PAGE_SIZE, LARGEST_PAGE_SIZE)


def _digest(kind: str, query: Query) -> str:
    content = (
        kind,
        query.organization_id,
        query.team_id,
        query.user_id,
        query.name_prefix,
        query.key_state.value,
    )
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]
