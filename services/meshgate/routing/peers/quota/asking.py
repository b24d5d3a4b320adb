"""Asking quota: for a hold while a request waits, for leases and places ahead of requests."""

import asyncio
from collections.abc import Sequence

import structlog

from meshgate.limits.amounts import NOTHING, ONE_PLACE, Amounts
from meshgate.limits.limit import Subject
from meshgate.limits.messages import amounts_message, subject_message
from meshgate.routing.arrival import Arrival
from meshgate.routing.peers.quota.account import Account
from meshgate.routing.peers.quota.calls import QuotaCalls
from meshgate.routing.peers.quota.grant import Grant, new_grant_id
from meshgate.routing.peers.quota.holdings import Holdings
from meshgate.routing.peers.quota.places import PlaceGrant
from meshgate.runtime.duration import duration
from meshgate.runtime.errors import DeadlineExceededError, GatewayError
from meshgate.v1 import limit_pb2
from meshgate.v1 import quota_service_pb2 as pb

_log = structlog.get_logger("meshgate.routing")


class Asking:
    """Gets grants, and puts them where they belong.

    Args:
        calls: To quota.
        holdings: Where grants are kept.
        hold_seconds: How long a grant lasts without a sign of life.
    """

    def __init__(self, calls: QuotaCalls, holdings: Holdings, hold_seconds: float) -> None:
        self._calls = calls
        self._holdings = holdings
        self._now = holdings.now
        self._ttl = duration(hold_seconds)

    async def hold(
        self, account: Account, subjects: Sequence[Subject], held: Amounts, arrival: Arrival
    ) -> Grant:
        """A grant for one request, all of it taken.

        Raises:
            LimitExceededError: A limit is reached.
            ServiceUnavailableError: Quota does not answer.
            DeadlineExceededError: There was no time to ask.
        """
        item = pb.HoldItem(
            context=arrival.call_context("", ""),
            grant_id=new_grant_id(),
            partition=account.chain.partition,
            subjects=_messages(subjects),
            amounts=amounts_message(held),
            ttl=self._ttl,
        )
        asked_at = self._now()
        try:
            async with asyncio.timeout(arrival.deadline.seconds_left()):
                granted = await self._calls.hold(item)
        except TimeoutError:
            raise DeadlineExceededError("the deadline of the request has passed") from None
        grant = Grant(item.grant_id, account.chain.partition, subjects, granted, asked_at)
        grant.take(held)
        grant.is_hold = grant.released = True  # nothing is left of it
        self._holdings.keep(grant)
        return grant

    async def lease(self, account: Account, units: int) -> None:
        """Get a lease for so many requests, or for fewer, or none."""
        chain, unit = account.chain, account.unit
        item = self._lease_item(account, chain.use_subjects, unit, units)
        asked_at = self._now()
        try:
            granted = await self._calls.lease(item)
        except GatewayError:
            account.refused()  # whoever needs something asks for a hold, and is told why
            return
        lease = Grant(item.grant_id, chain.partition, chain.use_subjects, granted, asked_at)
        if lease.left.amounts == NOTHING and unit != NOTHING:
            account.refused()
            return
        self._holdings.keep(lease)
        account.leased(lease, _units(lease.left.amounts, unit, units), units)

    async def lease_places(self, account: Account, places: int) -> None:
        """Get so many places, or fewer, or none."""
        item = self._lease_item(account, account.chain.place_subjects, ONE_PLACE, places)
        asked_at = self._now()
        size = 0
        try:
            size = (await self._calls.lease(item)).amounts.concurrency
        except GatewayError as error:
            _log.debug("no places were lent", reason=error.reason)
        if size:
            account.places.add(PlaceGrant(item.grant_id, size, asked_at))
        account.places_answered(size)

    def _lease_item(
        self, account: Account, subjects: Sequence[Subject], unit: Amounts, count: int
    ) -> pb.LeaseItem:
        return pb.LeaseItem(
            grant_id=new_grant_id(),
            partition=account.chain.partition,
            subjects=_messages(subjects),
            unit=amounts_message(unit),
            unit_count=count,
            ttl=self._ttl,
        )


def _units(granted: Amounts, unit: Amounts, most: int) -> int:
    """For how many requests a lease will do."""
    counts = [
        have // need
        for have, need in (
            (granted.requests, unit.requests),
            (granted.input_tokens, unit.input_tokens),
            (granted.output_tokens, unit.output_tokens),
            (granted.cost_nanos, unit.cost_nanos),
        )
        if need
    ]
    return min(counts, default=most)


def _messages(subjects: Sequence[Subject]) -> list[limit_pb2.Subject]:
    return [subject_message(subject) for subject in subjects]
