"""Page tokens of the lists of records."""

import msgspec

from meshgate.auth.credentials import Peppers
from meshgate.auth.directory import LARGEST_PAGE_SIZE, USUAL_PAGE_SIZE, Query
from meshgate.runtime import page_tokens
from meshgate.runtime.page_tokens import SealedPositions


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The last record of a page: the next one begins after it."""

    name: str
    record_id: str


class PageTokens:
    """Makes and reads the tokens of all lists."""

    def __init__(self, peppers: Peppers) -> None:
        self._positions = SealedPositions(peppers, Position)

    def token(self, kind: str, query: Query, position: Position) -> str:
        """The token for what comes after a position in a list."""
        return self._positions.token(_list(kind, query), position)

    def position(self, kind: str, query: Query, token: str) -> Position | None:
        """Where the list goes on; None for an empty token: at its beginning.

        Raises:
            InvalidRequestError: The token was not made here, or for another list.
        """
        return self._positions.position(_list(kind, query), token)


def page_size(asked_for: int) -> int:
    """How many records a page has.

    Raises:
        InvalidRequestError: Less than nothing is asked for.
    """
    return page_tokens.page_size(asked_for, USUAL_PAGE_SIZE, LARGEST_PAGE_SIZE)


def _list(kind: str, query: Query) -> tuple[str, ...]:
    return (
        kind,
        query.organization_id,
        query.team_id,
        query.user_id,
        query.name_prefix,
        query.key_state.value,
    )
