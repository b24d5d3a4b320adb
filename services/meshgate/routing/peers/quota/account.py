"""What this process may let in without asking, for one chain."""

import asyncio
import math
from collections import deque
from collections.abc import Callable

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.routing.chain import Chain
from meshgate.routing.peers.quota.grant import Grant
from meshgate.routing.peers.quota.places import Places

_LEASE_SECONDS = 2.0
_RENEWAL_SECONDS = 0.4
_RENEWAL_SHARE = 0.25
_SHORTEST_LOOK_SECONDS = 0.25
_DEMAND_MARGIN = 1.25
_LEAST_DEMAND = 2
_MOST_UNITS = 16_384
_MOST_PLACES = 1_024
_PAUSE_AFTER_REFUSAL_SECONDS = 1.0
_PAUSE_AFTER_LITTLE_SECONDS = 0.1
_LITTLE = 4
_UNIT_WEIGHT = 1 / 16
_MEMORY_SECONDS = 0.5


class Account:
    """Leases and places of a chain, and how much more is worth asking for.

    A chain that is asked for once in a while gets holds, one call each; one that is busy gets
    leases as large as what it used lately.

    Args:
        chain: Whose limits.
        now: The monotonic clock.

    Attributes:
        wants_lease: Whether what lies here will not do for long.
    """

    def __init__(self, chain: Chain, now: Callable[[], float]) -> None:
        self.chain = chain
        self.places = Places()
        self.wants_lease = True
        self._now = now
        self._leases: deque[Grant] = deque()
        self._answers: set[asyncio.Task[None]] = set()
        self._is_asking = self._is_asking_places = False
        self._ask_after = self._ask_places_after = now()
        self._asked_at = now() - _LEASE_SECONDS / 2
        self._demand = self._misses = 0
        self._units_left = 0
        self._renew_at = now()
        self._renew_below = 0.0
        self._unit = NOTHING
        self._returned_at = float("-inf")

    # ------------------------------------------------------------- what windows count

    def note(self, use: Amounts) -> None:
        """A request has come that is to use so much."""
        self._demand += 1
        if use != self._unit:
            self._learn(use)

    def take(self, use: Amounts) -> Grant | None:
        """The lease that gave what one request is to use; None where none can."""
        now = self._now()
        for lease in self._leases:
            if now < lease.admits_until and lease.take(use):
                self._units_left -= 1
                self.wants_lease = now >= self._renew_at or self._units_left < self._renew_below
                return lease
        self.wants_lease = True
        return None

    def lease_wanted(self) -> int:
        """For how many requests a lease is worth asking for now; 0 for none."""
        if self._is_asking or self._demand < _LEAST_DEMAND:
            return 0
        now = self._now()
        if now < self._ask_after:
            return 0
        seconds = max(now - self._asked_at, _SHORTEST_LOOK_SECONDS)
        if self._demand / seconds * _LEASE_SECONDS < _LEAST_DEMAND:
            # Less than a lease is for: what comes from now on is looked at anew.
            self._asked_at, self._demand = now, 1
            return 0
        wanted = math.ceil(self._demand / seconds * _LEASE_SECONDS * _DEMAND_MARGIN)
        return max(_LEAST_DEMAND, min(wanted, _MOST_UNITS))

    @property
    def unit(self) -> Amounts:
        """What one request is likely to use."""
        return self._unit

    def asking(self, answer: asyncio.Task[None]) -> None:
        """A lease is being asked for, until the task is done."""
        self._is_asking = True
        self._asked_at = self._now()
        self._demand = 0
        self._await(answer)

    def leased(self, lease: Grant, units: int, asked: int) -> None:
        """It was granted, for so many of the requests that were asked for."""
        self._is_asking = self.wants_lease = False
        self._leases.append(lease)
        self._units_left = units
        self._renew_below = units * _RENEWAL_SHARE
        seconds = lease.admits_until - self._asked_at
        self._renew_at = lease.admits_until - min(_RENEWAL_SECONDS, seconds / 4)
        if units * _LITTLE < asked:
            self._ask_after = self._now() + _PAUSE_AFTER_LITTLE_SECONDS

    def refused(self) -> None:
        """It was not."""
        self._is_asking = False
        self._ask_after = self._now() + _PAUSE_AFTER_REFUSAL_SECONDS

    def retired(self, now: float) -> list[Grant]:
        """The leases that admit no more, taken out of the account."""
        over = [lease for lease in self._leases if now >= lease.admits_until]
        for lease in over:
            self._leases.remove(lease)
        return over

    def close(self) -> list[Grant]:
        """All leases, taken out of the account."""
        leases = list(self._leases)
        self._leases.clear()
        return leases

    # ------------------------------------------------------------- concurrency

    def take_place(self) -> bool:
        """Take a place for one request, if there is one."""
        return self.places.take()

    def miss_place(self) -> None:
        """A place has to be asked for."""
        self._misses += 1

    @property
    def wants_places(self) -> bool:
        """Whether places were missing lately."""
        return self._misses >= _LEAST_DEMAND

    def places_wanted(self) -> int:
        """How many more places are worth asking for now; 0 for none."""
        if self._is_asking_places or self._now() < self._ask_places_after:
            return 0
        return min(_MOST_PLACES, self._misses + self.places.taken // 2)

    def asking_places(self, answer: asyncio.Task[None]) -> None:
        """Places are being asked for, until the task is done."""
        self._is_asking_places = True
        self._misses = 0
        self._await(answer)

    def places_answered(self, granted: int) -> None:
        """So many were granted; maybe none."""
        self._is_asking_places = False
        if not granted:
            self._ask_places_after = self._now() + _PAUSE_AFTER_REFUSAL_SECONDS

    def returned(self) -> None:
        """What was held for one request is free again, as soon as quota hears of it."""
        self._returned_at = self._now()

    @property
    def returned_lately(self) -> bool:
        """Whether quota may not have heard yet of what is free again."""
        return self._now() - self._returned_at <= _MEMORY_SECONDS

    # ------------------------------------------------------------- both

    async def answered(self) -> None:
        """Wait for what is being asked for, if anything is."""
        if self._answers:
            await asyncio.wait(self._answers)

    @property
    def is_idle(self) -> bool:
        """Whether it holds nothing, and nothing is on its way to it."""
        return not (self._leases or self._answers or self.places.taken or self.places)

    def _await(self, answer: asyncio.Task[None]) -> None:
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    def _learn(self, use: Amounts) -> None:
        """The mean of what requests use, the latest ones most."""
        before = self._unit
        if before is NOTHING:
            self._unit = use
        else:
            self._unit = Amounts(
                max(use.requests, before.requests),
                _towards(before.input_tokens, use.input_tokens),
                _towards(before.output_tokens, use.output_tokens),
                _towards(before.cost_nanos, use.cost_nanos),
            )


def _towards(mean: int, value: int) -> int:
    return math.ceil(mean + (value - mean) * _UNIT_WEIGHT)
