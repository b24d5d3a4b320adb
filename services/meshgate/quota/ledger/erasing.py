"""Erasing on demand: what tells of a user, or all of an organization.

The place of an erased entry in its chain stays, with its digest: that it was there, that nothing else
was touched, and how much was erased can still be verified.
"""

import secrets
from collections.abc import Iterable
from typing import Protocol

from meshgate.runtime.errors import InvalidRequestError

_NAME_BYTES = 8
_NOBODY = 0


class Erasing(Protocol):
    """Erases. What was erased before is not counted again; what broke off is begun again."""

    async def erase_user(self, user_id: str, principal_id: str) -> int:
        """Take out what tells of a user; what it cost stays in the sums, under no name.

        Args:
            user_id: Whose.
            principal_id: Who wants it.

        Returns:
            How many entries were erased.

        Raises:
            InvalidRequestError: There is no id.
            ServiceUnavailableError: The database does not answer. What was erased by then stays so.
        """
        ...

    async def erase_organization(self, organization_id: str, principal_id: str) -> int:
        """Take out all of an organization, what reports count of it included; likewise."""
        ...


def required(field: str, name: str) -> str:
    """The name of whom to erase.

    Raises:
        InvalidRequestError: It is empty.
    """
    if not name:
        raise InvalidRequestError(f"{field} is empty: whose usage is to be erased?", field=field)
    return name


def nameless() -> str:
    """A name that tells of nobody, and is nobody else's."""
    return f"erased/{secrets.token_hex(_NAME_BYTES)}"


def owned_keys(user: int, users_of_keys: Iterable[tuple[int, int]]) -> frozenset[int]:
    """The keys that a user alone has used.

    Args:
        user: The number of the user's label.
        users_of_keys: Of each line with a key: the numbers of key and user. What names the key
            alone may be anybody's who has it.
    """
    own: set[int] = set()
    others: set[int] = set()
    for key, who in users_of_keys:
        if who == user:
            own.add(key)
        elif who != _NOBODY:
            others.add(key)
    return frozenset(own - others - {_NOBODY})
