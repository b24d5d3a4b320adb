"""What there is to administer without a database: nothing."""

from typing import Any, NoReturn

from meshgate.auth.balances import BalancePage, Owner
from meshgate.auth.directory import EVERYTHING, Page, Query
from meshgate.runtime.errors import FailedPreconditionError, NotFoundError


class NoRecords:
    """Records of a kind, of which there can be none."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    async def get(self, record_id: str) -> NoReturn:
        raise NotFoundError(f"there is no {self._kind} {record_id[:100]!r}", resource=self._kind)

    async def list(
        self, _query: Query = EVERYTHING, _page_size: int = 0, _page_token: str = ""
    ) -> Page[Any]:
        return Page((), "")

    async def create(self, *_: object) -> NoReturn:
        raise FailedPreconditionError(
            f"there is no database to keep a {self._kind} in: set AUTH_DATABASE_URL for auth",
            resource=self._kind,
        )

    update = delete = issue = revoke = rotate = create


class NoBalances:
    """`Balances`, of which there can be none."""

    async def get(self, owner: Owner) -> NoReturn:
        shown = owner.name[:100]
        raise NotFoundError(f"there is no balance {shown!r}", resource="balance", id=shown)

    async def list(self, *_: object) -> BalancePage:
        return BalancePage((), "")

    async def top_ups(self, owner: Owner, *_: object) -> NoReturn:
        await self.get(owner)

    async def top_up(self, *_: object) -> NoReturn:
        raise FailedPreconditionError(
            "there is no database to keep a balance in: set AUTH_DATABASE_URL for auth",
            resource="balance",
        )


class NoDirectory:
    """A `Directory` that is empty and stays so."""

    organizations = NoRecords("organization")
    teams = NoRecords("team")
    users = NoRecords("user")
    keys = NoRecords("key")
    balances = NoBalances()
