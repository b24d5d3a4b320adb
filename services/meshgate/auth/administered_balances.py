"""The balances, as far as a caller of the admin API reaches."""

from dataclasses import replace

import structlog

from meshgate.auth.administration import narrowed, place_of
from meshgate.auth.balances import (
    Balance,
    BalancePage,
    Balances,
    Owner,
    TopUp,
    TopUpOrder,
    TopUpPage,
)
from meshgate.auth.directory import Directory, Keys, Query
from meshgate.auth.records import Record
from meshgate.limits.limit import SubjectKind
from meshgate.runtime.errors import NotFoundError
from meshgate.runtime.permissions import Caller

READ = "balances.read"
WRITE = "balances.write"
_SHOWN_CHARACTERS = 100

_log = structlog.get_logger(__name__)


class AdministeredBalances:
    """The balances, for many callers. What a caller does not reach is not found.

    Every method may also raise what the one of `Balances` does, and PermissionDeniedError where the
    caller may not do this at all.

    Args:
        directory: The records that have balances, and the balances.
        keys: All keys, those of the configuration too.
    """

    def __init__(self, directory: Directory, keys: Keys) -> None:
        self._directory = directory
        self._keys = keys
        self._balances: Balances = directory.balances

    async def top_up(self, caller: Caller, order: TopUpOrder) -> tuple[Balance, TopUp]:
        """Change a balance of a record that there is. The order need not say where it belongs.

        Raises:
            NotFoundError: The caller reaches no such record.
        """
        organization_id, team_id = await self._place(caller, order.owner)
        placed = replace(
            order,
            organization_id=organization_id,
            team_id=team_id,
            creator_id=caller.principal_id,
        )
        balance, top_up = await self._balances.top_up(placed)
        _log.info(
            "balance topped up",
            subject=order.owner.name,
            top_up_id=top_up.top_up_id,
            amount_nanos=top_up.amount_nanos,
            caller=caller.principal_id,
        )
        return balance, top_up

    async def get(self, caller: Caller, owner: Owner) -> Balance:
        """The balance.

        Raises:
            NotFoundError: The caller reaches no such balance.
        """
        balance = await self._balances.get(owner)
        if not caller.covers(READ, balance.organization_id, balance.team_id):
            raise _not_found("balance", owner.name)
        return balance

    async def list(
        self, caller: Caller, query: Query, page_size: int, page_token: str
    ) -> BalancePage:
        """Those of an organization or team that the caller reaches, by kind and id of their owners."""
        within = narrowed(query, caller, caller.reach(READ))
        return await self._balances.list(
            within.organization_id, within.team_id, page_size, page_token
        )

    async def top_ups(
        self, caller: Caller, owner: Owner, page_size: int, page_token: str
    ) -> TopUpPage:
        """The top-ups of a balance, the newest first.

        Raises:
            NotFoundError: The caller reaches no such balance.
        """
        await self.get(caller, owner)
        return await self._balances.top_ups(owner, page_size, page_token)

    async def _place(self, caller: Caller, owner: Owner) -> tuple[str, str]:
        """The ids of the organization and of the team that an owner belongs to."""
        try:
            place = place_of(await self._record(owner))
        except NotFoundError:
            raise _not_found(owner.kind.value, owner.record_id) from None
        if not caller.covers(WRITE, *place):
            raise _not_found(owner.kind.value, owner.record_id)
        return place

    async def _record(self, owner: Owner) -> Record:
        match owner.kind:
            case SubjectKind.KEY:
                return await self._keys.get(owner.record_id)
            case SubjectKind.USER:
                return await self._directory.users.get(owner.record_id)
            case SubjectKind.TEAM:
                return await self._directory.teams.get(owner.record_id)
            case _:
                return await self._directory.organizations.get(owner.record_id)


def _not_found(kind: str, name: str) -> NotFoundError:
    shown = name[:_SHOWN_CHARACTERS]
    return NotFoundError(f"there is no {kind} {shown!r}", resource=kind, id=shown)
