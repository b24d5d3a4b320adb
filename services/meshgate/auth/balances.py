"""What was paid in advance, and the port to where it is kept."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from meshgate.limits.limit import (
    LARGEST_COST_NANOS,
    Enforcement,
    Limit,
    LimitKind,
    SubjectKind,
    WindowUnit,
)
from meshgate.runtime.errors import InvalidRequestError

LONGEST_NOTE = 256

_KINDS = (SubjectKind.KEY, SubjectKind.USER, SubjectKind.TEAM, SubjectKind.ORGANIZATION)
_TOP_UP_ID = re.compile(r"[!-~]{1,128}")
_NOTE = re.compile(rf"[^\x00-\x1f\x7f]{{0,{LONGEST_NOTE}}}")
_RECORD_ID = re.compile(r"[^\s\x00-\x1f\x7f]{1,256}")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose balance it is: a key, user, team or organization.

    Attributes:
        kind: Which of them.
        record_id: The id of its record, which no other record of any kind has.
    """

    kind: SubjectKind
    record_id: str

    @property
    def name(self) -> str:
        """The same as of the subject of limits: `team/team_1`."""
        return f"{self.kind.value}/{self.record_id}"

    @classmethod
    def named(cls, name: str) -> "Owner":
        """The one of that name.

        Raises:
            InvalidRequestError: Nothing that has a balance is called like that.
        """
        kind_name, _, record_id = name.partition("/")
        for kind in _KINDS:
            if kind.value == kind_name and _RECORD_ID.fullmatch(record_id):
                return cls(kind, record_id)
        raise InvalidRequestError(
            "subject: use key/ID, user/ID, team/ID or organization/ID", field="subject"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What was paid in advance for one owner.

    Attributes:
        owner: Whose it is.
        organization_id: Where the owner belongs, or what it is.
        team_id: The same; empty for none.
        amount_nanos: What the top-ups come to, from 0 on.
        enforcement: NORMAL or STRICT.
        create_time: When it was topped up first.
        update_time: When it was topped up last.
    """

    owner: Owner
    organization_id: str
    team_id: str
    amount_nanos: int
    enforcement: Enforcement
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpOrder:
    """A change of a balance, as it is asked for.

    Attributes:
        top_up_id: Names it among all top-ups.
        owner: Whose balance changes.
        organization_id: Where the owner belongs, or what it is.
        team_id: The same; empty for none.
        amount_nanos: By how much; below 0 for a correction.
        note: What people wrote about it.
        enforcement: What is to happen at the end of the balance; None to leave it.
        creator_id: The principal that asks for it.
    """

    top_up_id: str
    owner: Owner
    organization_id: str
    team_id: str
    amount_nanos: int
    note: str = ""
    enforcement: Enforcement | None = None
    creator_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """A change of a balance that was made, for ever.

    Attributes:
        top_up_id: Names it among all top-ups.
        owner: Whose balance it changed.
        amount_nanos: By how much.
        balance_nanos: What the top-ups came to with it.
        note: What people wrote about it.
        creator_id: The principal that made it.
        create_time: When.
    """

    top_up_id: str
    owner: Owner
    amount_nanos: int
    balance_nanos: int
    note: str
    creator_id: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class BalancePage:
    """Some balances of a list; the token is empty on the last page."""

    balances: tuple[Balance, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class TopUpPage:
    """Some top-ups of a balance; the token is empty on the last page."""

    top_ups: tuple[TopUp, ...]
    next_page_token: str


class Balances(Protocol):
    """All balances.

    Every method is atomic, and raises ServiceUnavailableError as those of a `Collection` do.
    """

    async def top_up(self, order: TopUpOrder) -> tuple[Balance, TopUp]:
        """Change a balance, or make it. Changes nothing if this very top-up was made already.

        Raises:
            AlreadyExistsError: Another top-up has the id.
            FailedPreconditionError: The top-ups would come to less than nothing, or to more than
                can be counted.
        """
        ...

    async def get(self, owner: Owner) -> Balance:
        """The balance.

        Raises:
            NotFoundError: It was never topped up.
        """
        ...

    async def list(
        self, organization_id: str, team_id: str, page_size: int, page_token: str
    ) -> BalancePage:
        """Balances by kind and id of their owners: of one organization or team where it is given.

        Raises:
            InvalidRequestError: The size is negative, or the token is not of this list.
        """
        ...

    async def top_ups(self, owner: Owner, page_size: int, page_token: str) -> TopUpPage:
        """The top-ups of a balance, the newest first.

        Raises:
            InvalidRequestError: The size is negative, or the token is not of this list.
        """
        ...


def checked_order(order: TopUpOrder) -> TopUpOrder:
    """The order, if its fields can be.

    Raises:
        InvalidRequestError: One cannot; `field` names it.
    """
    if not _TOP_UP_ID.fullmatch(order.top_up_id):
        raise _wrong(
            "top_up_id", "use 1 to 128 printable characters without spaces, another in each top-up"
        )
    if abs(order.amount_nanos) > LARGEST_COST_NANOS:
        raise _wrong("amount_nanos", "more than 9,000,000 USD cannot be counted exactly")
    if not _NOTE.fullmatch(order.note):
        raise _wrong("note", f"it has more than {LONGEST_NOTE} or control characters")
    if order.enforcement is Enforcement.SOFT:
        raise _wrong("enforcement", "a balance that refuses nothing is none: use normal or strict")
    return order


def limit_of(amount_nanos: int, enforcement: Enforcement) -> Limit:
    """What a balance allows."""
    return Limit.of(LimitKind.COST, amount_nanos, WindowUnit.TOTAL, enforcement=enforcement)


def _wrong(field: str, sentence: str) -> InvalidRequestError:
    return InvalidRequestError(f"{field}: {sentence}", field=field)
