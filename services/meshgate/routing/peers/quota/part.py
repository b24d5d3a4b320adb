"""What one request has of one chain."""

from meshgate.limits.amounts import NOTHING, ONE_PLACE, Amounts
from meshgate.routing.chain import Chain
from meshgate.routing.peers.quota.account import Account
from meshgate.routing.peers.quota.grant import Grant
from meshgate.routing.peers.quota.settling import Settling


class Part:
    """Amounts of a grant, and a place: of those lent to this process, or of a grant of its own.

    Args:
        account: Of the chain.
        settling: Takes note of what is to be booked.
        grant: Gave what windows count; None where the chain counts nothing in windows.
        held: What it gave, with the place if that is of the same grant.
        has_lent_place: Whether the request sits on a place of the account.
        place_grant: Gave the place, where that is another grant.
    """

    __slots__ = (
        "_grant",
        "_has_lent_place",
        "_more",
        "_place_grant",
        "_settling",
        "account",
        "held",
    )

    def __init__(
        self,
        account: Account,
        settling: Settling,
        grant: Grant | None,
        held: Amounts,
        *,
        has_lent_place: bool = False,
        place_grant: Grant | None = None,
    ) -> None:
        self.account = account
        self.held = held
        self._settling = settling
        self._grant = grant
        self._has_lent_place = has_lent_place
        self._place_grant = place_grant
        self._more: list[Part] = []

    @property
    def chain(self) -> Chain:
        """Whose limits."""
        return self.account.chain

    @property
    def grant(self) -> Grant | None:
        """What tells how the limits stand; None where only a lent place was needed."""
        return self._grant or self._place_grant

    def extend(self, more: "Part") -> None:
        """Have more of the same chain: it goes the way of this part."""
        self._more.append(more)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody may be waiting for what is left of it: then it is settled at once."""
        grant = self._grant
        return self._place_grant is not None or (grant is not None and grant.is_hold)

    def settle(self, spent: Amounts, record: bytes = b"") -> None:
        """Book what was used, with the record, if any, and leave the place. Never waits.

        A part that has no grant keeps no record.
        """
        self.leave()
        for more in self._more:
            share = more.held.at_most(spent)
            more.settle(share)
            spent = spent.minus(share)
        if self._grant is not None:
            self._book(self._grant, self.held, self.chain.use_of(spent), record)
            record = b""
        if self._place_grant is not None:
            self._book(self._place_grant, ONE_PLACE, NOTHING, record)

    def give_back(self) -> None:
        """Give everything back: nothing was sent upstream."""
        self.leave()
        for more in self._more:
            more.give_back()
        if self._grant is not None:
            if self._grant.released:
                self._book(self._grant, self.held, NOTHING)
            else:
                self._grant.put_back(self.held)
        if self._place_grant is not None:
            self._book(self._place_grant, ONE_PLACE, NOTHING)

    def _book(self, grant: Grant, held: Amounts, spent: Amounts, record: bytes = b"") -> None:
        grant.book(held, spent, record)
        self._settling.note(grant)
        if grant.is_hold:
            # Little is left of a limit that holds are made for: somebody may be waiting for the place,
            # or for what was held and not used.
            self.account.returned()
            self._settling.hurry()

    def leave(self) -> None:
        """Leave the place, if it sits on one: the request is over."""
        if self._has_lent_place:
            self._has_lent_place = False
            self.account.places.leave()
