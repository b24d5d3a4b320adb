"""Keeping what is held in order: renew what is in use, give back what is not."""

import asyncio

import structlog

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.limits.messages import amounts_message
from meshgate.routing.peers.quota.account import Account
from meshgate.routing.peers.quota.calls import QuotaCalls
from meshgate.routing.peers.quota.grant import Grant
from meshgate.routing.peers.quota.holdings import Holdings
from meshgate.routing.peers.quota.places import PlaceGrant
from meshgate.runtime.duration import duration
from meshgate.runtime.errors import GatewayError, HoldUnknownError
from meshgate.v1 import quota_service_pb2 as pb

_log = structlog.get_logger("meshgate.routing")

_TRUSTED_SHARE = 2 / 3
"""For so much of the ttl places are let: then quota may give them to others any moment."""


class Upkeep:
    """Looks after holdings.

    Args:
        calls: To quota.
        holdings: What is looked after.
        hold_seconds: How long a grant lasts without a sign of life; one is given every third of it.
    """

    def __init__(self, calls: QuotaCalls, holdings: Holdings, hold_seconds: float) -> None:
        self._calls = calls
        self._holdings = holdings
        self._hold_seconds = hold_seconds

    async def look(self) -> None:
        """Give back, forget and renew what it is time for."""
        now = self._holdings.now()
        for account in self._holdings.accounts.values():
            for lease in account.retired(now):
                self._give_back_rest(lease)
            for places in account.places.spare():
                self._resize(account, places)
        self._holdings.forget()
        await self._calls.send_releases()
        await self._renew(now)

    async def give_all_back(self) -> None:
        """Give back everything that is not in use: no request will come any more."""
        for account in self._holdings.accounts.values():
            for lease in account.close():
                self._give_back_rest(lease)
            account.places.forget_peak()
            for places in account.places.spare():
                self._resize(account, places)
        await self._calls.send_releases()

    def _give_back_rest(self, lease: Grant) -> None:
        lease.released = True
        if lease.left.amounts != NOTHING:
            self._release(lease.grant_id, lease.partition, lease.used)

    def _resize(self, account: Account, places: PlaceGrant) -> None:
        self._release(places.grant_id, account.chain.partition, Amounts(concurrency=places.size))

    def _release(self, grant_id: str, partition: str, used: Amounts) -> None:
        self._calls.release(
            pb.ReleaseItem(grant_id=grant_id, partition=partition, used=amounts_message(used))
        )

    async def _renew(self, now: float) -> None:
        """Tell quota that what is held is still in use, before it thinks otherwise."""
        due_at = now - self._hold_seconds / 3
        holdings = self._holdings
        await asyncio.gather(
            *(
                self._renew_grant(grant, now)
                for grant in tuple(holdings.grants.values())
                if grant.alive_at <= due_at
            ),
            *(
                self._renew_places(account, places, now)
                for account in tuple(holdings.accounts.values())
                for places in account.places
                if places.alive_at <= due_at
            ),
        )

    async def _renew_grant(self, grant: Grant, now: float) -> None:
        try:
            await self._extend(grant.grant_id, grant.partition)
            grant.alive_at = now
        except HoldUnknownError:
            # It is booked already, as if it had been used up; the settlement will set that right.
            self._holdings.grants.pop(grant.grant_id, None)
        except GatewayError as error:
            _log.warning("a hold could not be renewed", reason=error.reason)

    async def _renew_places(self, account: Account, places: PlaceGrant, now: float) -> None:
        try:
            await self._extend(places.grant_id, account.chain.partition)
            places.alive_at = now
        except HoldUnknownError:
            account.places.lose(places)
        except GatewayError as error:
            _log.warning("places could not be renewed", reason=error.reason)
            if now - places.alive_at > self._hold_seconds * _TRUSTED_SHARE:
                account.places.lose(places)
                # Of those that nobody sits on quota should hear as soon as it is back.
                places.size = min(places.size, account.places.taken)
                self._resize(account, places)

    async def _extend(self, grant_id: str, partition: str) -> None:
        await self._calls.extend(
            pb.ExtendItem(grant_id=grant_id, partition=partition, ttl=duration(self._hold_seconds))
        )
