"""What one request needs of a chain, and what of it lay here."""

from typing import Self

from msgspec import Struct

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.routing.peers.quota.account import Account
from meshgate.routing.peers.quota.grant import Grant
from meshgate.routing.peers.quota.part import Part
from meshgate.routing.peers.quota.settling import Settling


class Need(Struct, frozen=True):
    """What one request needs.

    Attributes:
        account: Of the chain.
        use: What windows are to count.
        place: Whether it needs one.
    """

    account: Account
    use: Amounts
    place: bool

    @classmethod
    def of(cls, account: Account, amounts: Amounts) -> Self:
        """What a request needs that may use so much."""
        chain = account.chain
        return cls(
            account, chain.use_of(amounts), bool(chain.counts_places and amounts.concurrency)
        )


class Taken(Struct, frozen=True):
    """What lay here of a need, maybe not all.

    Attributes:
        need: The need.
        grant: The lease that gave the use; None where none could, or windows count nothing.
        has_place: Whether a place that is lent to this process was taken.
    """

    need: Need
    grant: Grant | None = None
    has_place: bool = False

    @classmethod
    def of(cls, need: Need) -> Self:
        """Take what lies here."""
        account = need.account
        has_place = need.place and account.take_place()
        grant = account.take(need.use) if account.chain.counts_use else None
        return cls(need, grant, has_place)

    @property
    def lacks_place(self) -> bool:
        """Whether a place is still needed."""
        return self.need.place and not self.has_place

    @property
    def lacks_use(self) -> bool:
        """Whether what windows count is still needed."""
        return self.grant is None and self.need.account.chain.counts_use

    @property
    def is_all(self) -> bool:
        """Whether nothing is still needed."""
        return not (self.lacks_place or self.lacks_use)

    def part(self, settling: Settling) -> Part:
        """The part of a request that needs no more than this."""
        held = NOTHING if self.grant is None else self.need.use
        return Part(self.need.account, settling, self.grant, held, has_lent_place=self.has_place)

    def put_back(self, settling: Settling) -> None:
        """Leave it to others."""
        if self.grant is not None or self.has_place:
            self.part(settling).give_back()
