"""What may be asked of quota, what it answers, and the port of the store that does the counting.

A grant is a hold (for one request) or a lease (for requests to come). It is booked in the buckets
of the moment it was granted in: `total` of a bucket is what was spent there and what is held, so
that the sum over a window never has to look at grants. When a grant's ttl passes, it is abandoned:
what it held stays in `total`, as if it had been spent, but for its concurrency.
"""

import enum
from collections.abc import Sequence
from typing import Protocol, TypeAlias

from msgspec import Struct

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.limits.limit import Limit, Subject
from meshgate.runtime.deadline import Deadline

USUAL_TTL_SECONDS = 30.0
LONGEST_TTL_SECONDS = 3_600.0
LONGEST_LEASE_SECONDS = 2.0
SEQUENCES = 100_000
"""How many settlements a grant may have."""
MOST_RECORD_BYTES = 1 << 20
"""How many bytes of usage records a settlement may have."""


class Hold(Struct, frozen=True):
    """Asks for what one request may use; see HoldItem."""

    grant_id: str
    partition: str
    subjects: tuple[Subject, ...]
    amounts: Amounts
    ttl_seconds: float = USUAL_TTL_SECONDS


class Lease(Struct, frozen=True):
    """Asks for what several requests may use; see LeaseItem."""

    grant_id: str
    partition: str
    subjects: tuple[Subject, ...]
    least: Amounts
    unit: Amounts
    unit_count: int
    ttl_seconds: float = USUAL_TTL_SECONDS


class Extension(Struct, frozen=True):
    """Asks for more time, and for so much in all; see ExtendItem."""

    grant_id: str
    partition: str
    total: Amounts = NOTHING
    ttl_seconds: float = USUAL_TTL_SECONDS


class Release(Struct, frozen=True):
    """Gives back all of a grant but what was used of it; see ReleaseItem."""

    grant_id: str
    partition: str
    used: Amounts = NOTHING


class Settlement(Struct, frozen=True):
    """What one request used, or several of a lease; see Settlement in the contract.

    Attributes:
        records: Their usage records, as a serialized UsageRecords; empty for none.
    """

    sequence: int
    held: Amounts
    spent: Amounts
    records: bytes = b""


class GrantSettlement(Struct, frozen=True):
    """What requests used of one grant.

    Attributes:
        subjects: Whose limits it is booked under where the store does not know the grant.
        grant_time: When it was granted, in milliseconds since 1970; None for now.
    """

    grant_id: str
    partition: str
    subjects: tuple[Subject, ...]
    grant_time: int | None
    settlements: tuple[Settlement, ...]


class LimitState(Struct, frozen=True):
    """How a limit stands.

    Attributes:
        subject_name: Whose limit, as `Subject.name`.
        limit: Which one.
        remaining: What is left of it.
        reset_seconds: Until all of it is free again; None for never.
    """

    subject_name: str
    limit: Limit
    remaining: int
    reset_seconds: float | None


class Grant(Struct, frozen=True):
    """What was set aside.

    Attributes:
        amounts: What is held in all.
        grant_time: The moment whose windows it belongs to, in milliseconds since 1970.
        lease_seconds: For how long requests may be admitted from it; 0 for a hold.
        states: The tightest limits on requests and on tokens.
        repeated: Whether it had been granted before.
    """

    amounts: Amounts
    grant_time: int
    lease_seconds: float
    states: tuple[LimitState, ...] = ()
    repeated: bool = False


class LimitReached(Struct, frozen=True):
    """Nothing was granted, because of a limit.

    Attributes:
        subject_name: Whose limit, as `Subject.name`.
        limit: Which one: of several, the one that is free last.
        remaining: What is left of it.
        requested: What was needed of it.
        retry_after_seconds: When it is worth coming back.
    """

    subject_name: str
    limit: Limit
    remaining: int
    requested: int
    retry_after_seconds: float


class NotGranted(enum.Enum):
    """Why there is no grant, where no limit is to blame."""

    RELEASED = "released"
    """It had been given back, or its ttl has passed."""
    UNKNOWN = "unknown"
    """There is nothing to extend."""
    BEHIND = "behind"
    """So much waits for the ledger that no more may be used."""
    LOST = "lost"
    """The store was emptied, and what is spent of a budget is not known before it is made again."""


GrantOutcome: TypeAlias = Grant | LimitReached | NotGranted


class Booking(enum.Enum):
    """How a settlement was booked; see Booking in the contract."""

    BOOKED = "booked"
    REPEATED = "repeated"
    LATE = "late"
    UNHELD = "unheld"


class Alert(Struct, frozen=True):
    """A soft limit was passed, for the first time in its window.

    Attributes:
        partition: Where its counter lies.
        subject_name: Whose limit.
        limit: Which one.
        total: What is spent and held.
    """

    partition: str
    subject_name: str
    limit: Limit
    total: int


class GrantStore(Protocol):
    """Counts. Every method answers each item, in order; what it is given has been checked.

    Everything may be sent again without harm. What one call does to one shard happens at once and
    as a whole.

    Raises:
        ServiceUnavailableError: The store did not answer in time, or cannot do it now. Nothing is
            known of the items.
    """

    async def hold(self, items: Sequence[Hold], deadline: Deadline) -> Sequence[GrantOutcome]:
        """Set aside what each request may use, or nothing."""
        ...

    async def lease(self, items: Sequence[Lease], deadline: Deadline) -> Sequence[GrantOutcome]:
        """Set aside what several requests may use: at least the one at hand, or nothing."""
        ...

    async def extend(
        self, items: Sequence[Extension], deadline: Deadline
    ) -> Sequence[GrantOutcome]:
        """Give grants more time, and more to use."""
        ...

    async def release(self, items: Sequence[Release], deadline: Deadline) -> None:
        """Take back what was not used."""
        ...

    async def settle(
        self, items: Sequence[GrantSettlement], deadline: Deadline
    ) -> Sequence[Sequence[Booking]]:
        """Book what was used, and return once it is on disk."""
        ...

    async def sweep(self, deadline: Deadline) -> int:
        """Abandon grants whose ttl has passed, and say how many; all of them unless many have."""
        ...
