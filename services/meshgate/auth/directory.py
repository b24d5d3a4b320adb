"""The port to the records of auth."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

from meshgate.auth.balances import Balances
from meshgate.auth.records import IssuedKey, Key, Organization, Record, Team, User

USUAL_PAGE_SIZE = 50
LARGEST_PAGE_SIZE = 1_000
LONGEST_OVERLAP = timedelta(days=7)

R = TypeVar("R", bound=Record)


class KeyState(enum.Enum):
    """Which keys a list is to have."""

    ANY = "any"
    LIVE = "live"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which records a list is to have: those that fit all that is stated.

    Attributes:
        organization_id: Whose; of no meaning for organizations.
        team_id: Keys of the team, or users who are its members.
        user_id: Keys of the user.
        name_prefix: How their names begin.
        key_state: Revoked keys, or the others; expired ones are not revoked.
    """

    organization_id: str = ""
    team_id: str = ""
    user_id: str = ""
    name_prefix: str = ""
    key_state: KeyState = KeyState.ANY


EVERYTHING = Query()


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Some records of a list.

    Attributes:
        records: By name.
        next_page_token: What fetches the next page; empty if this is the last one.
    """

    records: tuple[R, ...]
    next_page_token: str


class Collection(Protocol[R]):
    """The records of one kind. Every method is atomic.

    Each of them, besides its own errors, raises ServiceUnavailableError if the database does not
    answer in time: nothing was changed then, or the change was made and could not be confirmed.
    """

    async def get(self, record_id: str) -> R:
        """The record.

        Raises:
            NotFoundError: There is none.
        """
        ...

    async def list(
        self, query: Query = EVERYTHING, page_size: int = 0, page_token: str = ""
    ) -> Page[R]:
        """Records by name, then by id. None at all where the query names what does not exist.

        Args:
            query: Which.
            page_size: The most that come at once; USUAL_PAGE_SIZE for 0, and never more than
                LARGEST_PAGE_SIZE.
            page_token: The `next_page_token` of the page before, for the same query.

        Raises:
            InvalidRequestError: The size is negative, the query has no meaning for this kind of
                record, or the token is not of this list.
        """
        ...

    async def update(self, record_id: str, change: Callable[[R], R], etag: str = "") -> R:
        """Replace the record by what `change` makes of it, and return it as it is then.

        Args:
            record_id: Which.
            change: Gets the record as it is and returns it with other fields. Pure: it may be
                called again.
            etag: The etag that the record must have; any if empty.

        Raises:
            NotFoundError: There is no such record, or what it is to refer to.
            EtagMismatchError: It has another etag.
            InvalidRequestError: A field is wrong, or is one that never changes.
            AlreadyExistsError: Another record has the name (or the e-mail).
            FailedPreconditionError: The user has keys of a team that they are to leave, or the key
                is revoked.
        """
        ...

    async def delete(self, record_id: str, etag: str = "") -> None:
        """Forget the record.

        Raises:
            NotFoundError: There is no such record.
            EtagMismatchError: It has another etag.
            FailedPreconditionError: Others belong to it (revoked keys too), or it is the default
                organization.
        """
        ...


class Records(Collection[R], Protocol):
    """The records of a kind that anybody may make."""

    async def create(self, record: R) -> R:
        """Keep a record, and return it with what the directory sets.

        Raises:
            InvalidRequestError: A field is wrong; `field` names it.
            AlreadyExistsError: Another record has the name (or the e-mail).
            NotFoundError: There is no such organization, team or user in the organization.
        """
        ...


class Keys(Collection[Key], Protocol):
    """The keys."""

    async def issue(self, record: Key) -> IssuedKey:
        """Keep a record of a new key, and make its secret.

        Raises:
            InvalidRequestError: A field is wrong; `field` names it.
            AlreadyExistsError: Another key that is not revoked has the name.
            NotFoundError: There is no such organization, team or user in the organization.
        """
        ...

    async def revoke(self, key_id: str, etag: str = "") -> Key:
        """Make the key useless from now on. Changes nothing if it is already.

        Raises:
            NotFoundError: There is no such key.
            EtagMismatchError: It has another etag.
        """
        ...

    async def rotate(self, key_id: str, overlap: timedelta, etag: str = "") -> IssuedKey:
        """Give the key a new secret; the one before stays good for the overlap.

        Id, principal and limits stay the same. A secret from before the last rotation ends now.

        Args:
            key_id: Which.
            overlap: From 0 to LONGEST_OVERLAP.
            etag: The etag that the key must have; any if empty.

        Raises:
            NotFoundError: There is no such key.
            EtagMismatchError: It has another etag.
            InvalidRequestError: The overlap is out of range.
            FailedPreconditionError: The key is revoked or has expired.
        """
        ...


class Directory(Protocol):
    """All records."""

    @property
    def organizations(self) -> Records[Organization]: ...
    @property
    def teams(self) -> Records[Team]: ...
    @property
    def users(self) -> Records[User]: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def balances(self) -> Balances: ...
