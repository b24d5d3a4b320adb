"""What quota has set aside for this process, and what has been used of it."""

import itertools
import secrets
from collections import deque
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import Struct

from meshgate.limits.amounts import Amounts, Pool
from meshgate.limits.limit import LARGEST_AMOUNT, Subject
from meshgate.limits.messages import amounts_message, amounts_of, subject_message
from meshgate.runtime.duration import seconds_of
from meshgate.v1 import limit_pb2
from meshgate.v1 import quota_service_pb2 as pb

MOST_RECORD_BYTES = 512 * 1024
"""How long the records of one settlement are together; quota takes twice as much."""

# Upstreams may say what they like. What quota cannot count it would never book.
_HALF = LARGEST_AMOUNT // 2
_MOST = Amounts(_HALF, _HALF, _HALF, LARGEST_AMOUNT, _HALF)

_MILLISECONDS = 1000

_PROCESS = secrets.token_hex(8)
_numbers = itertools.count()


def new_grant_id() -> str:
    """Random in each process, so that no two ever make the same, and counted in it."""
    return f"{_PROCESS}-{next(_numbers):x}"


class Standing(Struct, frozen=True):
    """How a limit stood when something was granted under it.

    Attributes:
        counts_requests: Whether it counts requests; else tokens.
        amount: What the limit allows in a window.
        left: What was left of that.
        limit_header: Tells the amount.
        remaining_name: Of the header that tells what is left.
        reset_header: Tells when all is free again.
    """

    counts_requests: bool
    amount: int
    left: int
    limit_header: tuple[str, str]
    remaining_name: str
    reset_header: tuple[str, str]

    def remaining(self, spare: Pool) -> int:
        """What is left, with what a lease may still let in."""
        more = spare.requests if self.counts_requests else spare.input_tokens + spare.output_tokens
        return max(0, min(self.left + more, self.amount))


def reset_text(seconds: float) -> str:
    """A time as OpenAI writes it: `120ms`, `1s`, `6m0s`, `24h0m0s`."""
    milliseconds = max(0, round(seconds * _MILLISECONDS))
    if milliseconds < _MILLISECONDS:
        return f"{milliseconds}ms"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{whole}s"
    return f"{minutes}m{whole}s" if minutes else f"{whole}s"


def _standing(state: pb.LimitState) -> tuple[str, Standing]:
    requests = state.limit.kind == limit_pb2.LIMIT_KIND_REQUESTS
    name = "requests" if requests else "tokens"
    standing = Standing(
        counts_requests=requests,
        amount=state.limit.amount,
        left=state.remaining,
        limit_header=(f"x-ratelimit-limit-{name}", str(state.limit.amount)),
        remaining_name=f"x-ratelimit-remaining-{name}",
        reset_header=(f"x-ratelimit-reset-{name}", reset_text(seconds_of(state.reset))),
    )
    return name, standing


class Grant:
    """A hold or a lease, from its owner's point of view.

    Attributes:
        grant_id: Names it.
        partition: Where it is counted.
        left: What may still be taken from it.
        unsettled: How many requests have taken something and not settled yet.
        admits_until: By the monotonic clock: when the last request may take something.
        alive_at: When quota last heard that its owner lives.
        is_hold: Whether it is for one request, which has taken all of it.
        released: Whether quota was told what will never be used of it.
        bookings: How many requests were noted since the last settlement.
        record_bytes: How long their records are together.
        standings: How the tightest limits stood when it was granted, `requests` and `tokens`.
    """

    __slots__ = (
        "_granted",
        "_held",
        "_overrun",
        "_records",
        "_sequence",
        "_spent",
        "_subjects",
        "_time",
        "admits_until",
        "alive_at",
        "bookings",
        "grant_id",
        "is_hold",
        "left",
        "partition",
        "record_bytes",
        "released",
        "standings",
        "unsettled",
    )

    def __init__(
        self,
        grant_id: str,
        partition: str,
        subjects: Sequence[Subject],
        granted: pb.Grant,
        asked_at: float,
    ) -> None:
        self.grant_id = grant_id
        self.partition = partition
        self._subjects = subjects
        self._time = granted.grant_time
        self._granted = amounts_of(granted.amounts)
        self.left = Pool.of(self._granted)
        self.unsettled = 0
        self.admits_until = asked_at + granted.lease.ToNanoseconds() / 1e9
        self.alive_at = asked_at
        self.standings = dict(map(_standing, granted.states))
        self.is_hold = self.released = False
        self.bookings = 0
        self._sequence = 0
        self._held, self._spent, self._overrun = Pool(), Pool(), Pool()
        self._records: deque[bytes] = deque()
        self.record_bytes = 0

    def take(self, amounts: Amounts) -> bool:
        """Take the amounts for one request, if they are left. Mind `admits_until`."""
        if not self.left.take(amounts):
            return False
        self.unsettled += 1
        return True

    def put_back(self, amounts: Amounts) -> None:
        """Give back all that one request took, as if it had never come."""
        self.left.put(amounts)
        self.unsettled -= 1

    @property
    def used(self) -> Amounts:
        """What was ever taken and not put back."""
        return self._granted.minus(self.left.amounts)

    def book(self, held: Amounts, spent: Amounts, record: bytes = b"") -> None:
        """Note what one request used, to be settled; `record` is a serialized UsageRecords."""
        self.unsettled -= 1
        self.bookings += 1
        self._held.put(held)
        self._spent.put(spent)
        if not held.covers(spent):
            self._overrun.put(spent.minus(held))
        if record:
            self._records.append(record)
            self.record_bytes += len(record)

    def settlement(self) -> pb.GrantSettlement:
        """What was noted since the last time, as one settlement to send.

        Of the records only as many as one may have; the rest goes with the next.
        """
        settlement = pb.Settlement(
            sequence=self._sequence,
            held=amounts_message(self._held.amounts),
            spent=amounts_message(self._spent.amounts.at_most(_MOST)),
            overrun=amounts_message(self._overrun.amounts.at_most(_MOST)),
            records=self._next_records(),
        )
        self._sequence += 1
        self.bookings = 0
        self._held, self._spent, self._overrun = Pool(), Pool(), Pool()
        return pb.GrantSettlement(
            grant_id=self.grant_id,
            partition=self.partition,
            subjects=[subject_message(subject) for subject in self._subjects],
            grant_time=self._time,
            settlements=[settlement],
        )

    def _next_records(self) -> bytes:
        taken: list[bytes] = []
        taken_bytes = 0
        while self._records and (
            not taken or taken_bytes + len(self._records[0]) <= MOST_RECORD_BYTES
        ):
            record = self._records.popleft()
            taken_bytes += len(record)
            taken.append(record)
        self.record_bytes -= taken_bytes
        return b"".join(taken)


def ledger_grant(organization_id: str, time: Timestamp, asked_at: float) -> Grant:
    """A grant of nothing: by it the records of requests are kept that no limit applies to."""
    granted = pb.Grant(grant_time=time)
    return Grant(new_grant_id(), organization_id, (), granted, asked_at)
