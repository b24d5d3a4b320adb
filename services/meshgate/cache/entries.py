"""Answers that are kept, and what keeps them."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from meshgate.runtime.errors import InvalidRequestError

LEAST_FINGERPRINT_BYTES = 16
MOST_FINGERPRINT_BYTES = 64
MOST_PARTITION_BYTES = 1_024


class Place(Struct, frozen=True):
    """Where an answer lies.

    Attributes:
        partition: Whose answers it is among; no two partitions share one.
        fingerprint: What makes two requests the same.
    """

    partition: str
    fingerprint: bytes

    def check(self) -> None:
        """Check that there can be such a place.

        Raises:
            InvalidRequestError: There cannot.
        """
        check_partition(self.partition)
        size = len(self.fingerprint)
        if not LEAST_FINGERPRINT_BYTES <= size <= MOST_FINGERPRINT_BYTES:
            raise InvalidRequestError(
                f"a fingerprint has {LEAST_FINGERPRINT_BYTES} to {MOST_FINGERPRINT_BYTES} bytes,"
                f" not {size}",
                field="fingerprint",
                size=str(size),
            )


class Kept(Struct, frozen=True):
    """An answer to be kept.

    Attributes:
        place: Where.
        entry: The answer, as its owner will read it.
        ttl_seconds: How long it may be found.
    """

    place: Place
    entry: bytes
    ttl_seconds: float

    def check(self, maximum_bytes: int) -> None:
        """Check that it can be kept.

        Raises:
            InvalidRequestError: It is larger than `maximum_bytes`, or may not be found at all.
        """
        self.place.check()
        if self.ttl_seconds <= 0:
            raise InvalidRequestError("an answer is kept for some time: give a ttl", field="ttl")
        if len(self.entry) > maximum_bytes:
            raise InvalidRequestError(
                f"an answer of {len(self.entry)} bytes is not kept; the most is {maximum_bytes}",
                field="entry",
                size=str(len(self.entry)),
                limit=str(maximum_bytes),
            )


class EntryStore(Protocol):
    """Keeps answers, as long as there is room for them.

    Every method raises ServiceUnavailableError where it cannot do what it should.
    """

    async def find(self, places: Sequence[Place]) -> list[bytes | None]:
        """What is kept at each of these places, in order."""
        ...

    async def keep(self, items: Sequence[Kept]) -> None:
        """Keep each in place of what was there before."""
        ...

    async def forget(self, partition: str) -> None:
        """From now on nothing is found that was kept in the partition before this began."""
        ...


def check_partition(partition: str) -> None:
    """Check that there can be such a partition.

    Raises:
        InvalidRequestError: There cannot.
    """
    if not partition or len(partition.encode()) > MOST_PARTITION_BYTES:
        raise InvalidRequestError(
            f"a partition is named by 1 to {MOST_PARTITION_BYTES} bytes", field="partition"
        )


def is_fresh(age_seconds: float, max_age_seconds: float | None) -> bool:
    """Whether an answer of this age will do."""
    return max_age_seconds is None or age_seconds <= max_age_seconds
