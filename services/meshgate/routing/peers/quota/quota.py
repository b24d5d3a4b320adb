"""Quota, as the pipeline sees it: lets requests in, and books what they used."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from meshgate.limits.amounts import NOTHING, ONE_PLACE, Amounts
from meshgate.limits.limit import LimitKind
from meshgate.routing.arrival import Arrival
from meshgate.routing.chain import Chain
from meshgate.routing.peers.quota.account import Account
from meshgate.routing.peers.quota.afterwards import Afterwards
from meshgate.routing.peers.quota.asking import Asking
from meshgate.routing.peers.quota.calls import QuotaCalls
from meshgate.routing.peers.quota.holdings import Holdings
from meshgate.routing.peers.quota.part import Part
from meshgate.routing.peers.quota.settling import Settling
from meshgate.routing.peers.quota.taken import Need, Taken
from meshgate.routing.peers.quota.upkeep import Upkeep
from meshgate.runtime.counts import LabelledCounts
from meshgate.runtime.errors import LimitExceededError, ServiceUnavailableError
from meshgate.runtime.tracing import spanned

_FLUSH_SECONDS = 0.2
_LOOK_SECONDS = 0.25
_CANCEL_SECONDS = 1.0
_PATIENCE_SECONDS = 0.05


_ADMISSIONS = LabelledCounts(
    "meshgate_quota_admissions",
    "Requests under limits, once for each chain of them, by what let them in or kept them out.",
    "outcome",
)
_TAKEN, _ASKED, _REFUSED, _FAILED = map(_ADMISSIONS.of, ("taken", "asked", "refused", "failed"))


class Quota:
    """Parts of grants for each request, from what lies here or by asking; settled in batches.

    Args:
        calls: To quota.
        hold_seconds: How long what was granted stays held without a sign of life of this process.
        now: The monotonic clock.
        close_seconds: How long the end waits for each thing that has to be done before.
    """

    def __init__(
        self,
        calls: QuotaCalls,
        hold_seconds: float = 30.0,
        now: Callable[[], float] = time.monotonic,
        close_seconds: float = 5.0,
    ) -> None:
        self._close_seconds = close_seconds
        self._calls = calls
        self._afterwards = Afterwards()
        self._settling = Settling(calls)
        self._holdings = Holdings(now)
        self._asking = Asking(calls, self._holdings, hold_seconds)
        self._upkeep = Upkeep(calls, self._holdings, hold_seconds)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def admit(self, chain: Chain, amounts: Amounts, arrival: Arrival) -> Part:
        """Set aside what one request may use of a chain; see `take` and `ask`."""
        return self.take(chain, amounts) or await self.ask(chain, amounts, arrival)

    def take(self, chain: Chain, amounts: Amounts) -> Part | None:
        """Set aside what one request may use, if it lies here. Where it does not, `ask`."""
        account = self._holdings.account(chain)
        need = Need.of(account, amounts)
        account.note(need.use)
        part = None if self._settling.is_full else self._take_all(need)
        if part is not None:
            _TAKEN.value += 1
            self._ask_ahead(account)
        return part

    async def ask(self, chain: Chain, amounts: Amounts, arrival: Arrival) -> Part:
        """Set aside what one request may use, by asking for what does not lie here.

        Raises:
            LimitExceededError: A limit is reached; nothing is held.
            ServiceUnavailableError: Quota does not answer, or too much waits to be booked.
            DeadlineExceededError: There was no time to ask.
        """
        self.check_room()
        try:
            part = await self._admit(Need.of(self._holdings.account(chain), amounts), arrival)
        except LimitExceededError:
            _REFUSED.value += 1
            raise
        except BaseException:
            _FAILED.value += 1
            raise
        else:
            _ASKED.value += 1
            return part
        finally:
            # Maybe another one by now: those that seem idle are forgotten.
            self._ask_ahead(self._holdings.account(chain))

    def check_room(self) -> None:
        """Check that what one more request uses can be kept until it is booked.

        Raises:
            ServiceUnavailableError: Too much waits already.
        """
        if self._settling.is_full:
            raise ServiceUnavailableError(
                "the quota service does not answer", retry_after_seconds=1, service="quota"
            )

    def record(self, organization_id: str, record: bytes) -> None:
        """Keep the record of a request that no limit of its organization applies to."""
        grant = self._holdings.ledger(organization_id)
        grant.unsettled += 1
        grant.book(NOTHING, NOTHING, record)
        self._settling.note(grant)

    def afterwards(self, work: Callable[[], None]) -> None:
        """Do something soon that nobody waits for, before the next settlements are sent."""
        self._afterwards.put(work)

    def later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something that a request leaves behind; the end of the process waits for it."""
        task = asyncio.create_task(work, name="after a request")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ------------------------------------------------------------- in the background

    async def flush(self) -> None:
        """Send what is to be booked, again and again, until cancelled."""
        while True:
            self.send_settlements()
            await asyncio.sleep(_FLUSH_SECONDS)

    async def look_after(self) -> None:
        """Renew and give back, again and again, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look()

    def send_settlements(self) -> None:
        """Send what is to be booked."""
        self._afterwards.run()
        self._settling.flush()

    async def look(self) -> None:
        """Renew what is in use, give back what is not."""
        await self._upkeep.look()

    @property
    def unbooked(self) -> int:
        """How many requests quota has not acknowledged the booking of yet."""
        return len(self._afterwards) + self._settling.unbooked

    async def close(self) -> None:
        """Book what was used and give back the rest, within bounds."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._close_seconds)
            for task in late:
                task.cancel()  # what it asked for goes back, what it counts is estimated
            if late:
                await asyncio.wait(late, timeout=_CANCEL_SECONDS)
        self._afterwards.run()
        await self._settling.close(self._close_seconds)
        await self._upkeep.give_all_back()
        await self._calls.close()
        await self._calls.send_releases()

    # ------------------------------------------------------------- letting in

    async def _admit(self, need: Need, arrival: Arrival) -> Part:
        taken = Taken.of(need)
        if taken.is_all:
            return taken.part(self._settling)
        try:
            return await self._hold_missing(taken, arrival)
        except BaseException as error:
            taken.put_back(self._settling)
            if not isinstance(error, LimitExceededError):
                raise
            return await self._second_chance(need, arrival, error)

    async def _second_chance(self, need: Need, arrival: Arrival, error: LimitExceededError) -> Part:
        """What quota refuses may be on its way to this process, or on its way back."""
        account = need.account
        try:
            async with asyncio.timeout(arrival.deadline.seconds_left()):
                await account.answered()
        except TimeoutError:
            raise error from None
        part = self._take_all(need)
        if part is not None:
            return part
        counts_requests = error.values.get("limit", "").startswith(LimitKind.REQUESTS.value)
        if counts_requests or not account.returned_lately:
            raise error
        await asyncio.sleep(_PATIENCE_SECONDS)
        return await self._hold_missing(Taken(need), arrival)

    async def _hold_missing(self, taken: Taken, arrival: Arrival) -> Part:
        """Ask for what could not be taken here: use, a place, or both with one hold."""
        need, account = taken.need, taken.need.account
        chain = account.chain
        if taken.lacks_place:
            account.miss_place()
        if taken.lacks_place and not taken.lacks_use:
            place_grant = await self._asking.hold(account, chain.place_subjects, ONE_PLACE, arrival)
            return Part(account, self._settling, taken.grant, need.use, place_grant=place_grant)
        subjects = chain.subjects if taken.lacks_place else chain.use_subjects
        held = need.use + ONE_PLACE if taken.lacks_place else need.use
        grant = await self._asking.hold(account, subjects, held, arrival)
        return Part(account, self._settling, grant, held, has_lent_place=taken.has_place)

    def _take_all(self, need: Need) -> Part | None:
        """A part that got all it needs from what lies here, or nothing."""
        taken = Taken.of(need)
        if taken.is_all:
            return taken.part(self._settling)
        taken.put_back(self._settling)
        return None

    # ------------------------------------------------------------- ahead

    def _ask_ahead(self, account: Account) -> None:
        """Ask in the background for what the next requests will need."""
        if account.wants_lease and account.chain.counts_use and (units := account.lease_wanted()):
            account.asking(self.later(self._asking.lease(account, units)))
        if account.wants_places and (places := account.places_wanted()):
            account.asking_places(self.later(self._asking.lease_places(account, places)))


async def admitted(
    quota: Quota, chains: Iterable[Chain], amounts: Amounts, arrival: Arrival
) -> list[Part]:
    """Set the amounts aside in every chain, or in none.

    Raises:
        LimitExceededError: A limit is reached; nothing is held.
        ServiceUnavailableError: Quota does not answer, or too much waits to be booked.
        DeadlineExceededError: There was no time to ask.
    """
    quota.check_room()  # also for who has no limits: the record must be kept
    parts: list[Part] = []
    try:
        for chain in chains:
            part = quota.take(chain, amounts)
            if part is None:
                asking = quota.ask(chain, amounts, arrival)
                part = await spanned(arrival.span, "hold", asking)
            parts.append(part)
    except BaseException:
        for part in parts:
            part.give_back()
        raise
    return parts
