"""Balances in SQL."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.auth.balances import (
    Balance,
    BalancePage,
    Owner,
    TopUp,
    TopUpOrder,
    TopUpPage,
    checked_order,
)
from meshgate.auth.directory import Query
from meshgate.auth.page_tokens import PageTokens, Position
from meshgate.auth.page_tokens import page_size as size_of_page
from meshgate.auth.sql.collection import Tools, not_found
from meshgate.auth.sql.groupings import live_keys
from meshgate.auth.sql.rows import Row, micros, moment
from meshgate.auth.sql.schema import BALANCES, KEYS, TOP_UPS
from meshgate.limits.limit import LARGEST_COST_NANOS, Enforcement, SubjectKind
from meshgate.pricing.money import usd_of_nanos
from meshgate.runtime.errors import AlreadyExistsError, FailedPreconditionError

_KIND = "balance"
_OWNERS: dict[SubjectKind, ColumnElement[Any]] = {
    SubjectKind.KEY: KEYS.c.key_id,
    SubjectKind.USER: KEYS.c.user_id,
    SubjectKind.TEAM: KEYS.c.team_id,
    SubjectKind.ORGANIZATION: KEYS.c.organization_id,
}


class SqlBalances:
    """`Balances` in tables."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._tokens = PageTokens(tools.peppers)

    async def top_up(self, order: TopUpOrder) -> tuple[Balance, TopUp]:
        order = checked_order(order)
        async with self._tools.log.writing() as writing:
            connection = writing.connection
            before = await _row(connection, order.owner)
            made = await _made(connection, order)
            if made is not None and before is not None:
                return _balance(before), made
            balance = self._topped_up(order, before)
            number = 1 if before is None else before["top_up_count"] + 1
            await _write(connection, balance, number)
            top_up = self._recorded(order, balance)
            await connection.execute(insert(TOP_UPS).values(**_values(top_up), number=number))
            owner = order.owner
            writing.changed_ids.add(owner.record_id)
            keys = await live_keys(connection, _OWNERS[owner.kind] == owner.record_id)
            writing.changed_ids.update(keys)
        return balance, top_up

    async def get(self, owner: Owner) -> Balance:
        async with self._tools.database.reading() as connection:
            row = await _row(connection, owner)
        if row is None:
            raise not_found(_KIND, owner.name)
        return _balance(row)

    async def list(
        self, organization_id: str, team_id: str, page_size: int, page_token: str
    ) -> BalancePage:
        size = size_of_page(page_size)
        query = Query(organization_id=organization_id, team_id=team_id)
        begin = self._tokens.position(_KIND, query, page_token)
        order = (BALANCES.c.kind, BALANCES.c.record_id)
        statement = select(BALANCES).where(*_within(query)).order_by(*order).limit(size + 1)
        if begin is not None:
            statement = statement.where(tuple_(*order) > tuple_(begin.name, begin.record_id))
        async with self._tools.database.reading() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        balances = tuple(_balance(row) for row in rows[:size])
        if len(rows) <= size:
            return BalancePage(balances, "")
        end = balances[-1].owner
        position = Position(end.kind.value, end.record_id)
        return BalancePage(balances, self._tokens.token(_KIND, query, position))

    async def top_ups(self, owner: Owner, page_size: int, page_token: str) -> TopUpPage:
        size = size_of_page(page_size)
        kind, query = f"top-up of {owner.name}", Query()
        begin = self._tokens.position(kind, query, page_token)
        newest_first = TOP_UPS.c.number.desc()
        statement = select(TOP_UPS).where(TOP_UPS.c.record_id == owner.record_id)
        if begin is not None:
            statement = statement.where(TOP_UPS.c.number < int(begin.name))
        async with self._tools.database.reading() as connection:
            found = await connection.execute(statement.order_by(newest_first).limit(size + 1))
            rows = found.mappings().all()
        top_ups = tuple(_top_up(row, owner) for row in rows[:size])
        if len(rows) <= size:
            return TopUpPage(top_ups, "")
        position = Position(str(rows[size - 1]["number"]), top_ups[-1].top_up_id)
        return TopUpPage(top_ups, self._tokens.token(kind, query, position))

    def _topped_up(self, order: TopUpOrder, before: Row | None) -> Balance:
        """The balance after an order."""
        now = moment(micros(self._tools.now()))
        balance = Balance(
            owner=order.owner,
            organization_id=order.organization_id,
            team_id=order.team_id,
            amount_nanos=_sum(order, 0 if before is None else before["amount_nanos"]),
            enforcement=order.enforcement or Enforcement.NORMAL,
            create_time=now,
            update_time=now,
        )
        if before is None:
            return balance
        kept = _balance(before)
        return replace(
            balance,
            enforcement=order.enforcement or kept.enforcement,
            create_time=kept.create_time,
        )

    def _recorded(self, order: TopUpOrder, balance: Balance) -> TopUp:
        return TopUp(
            top_up_id=order.top_up_id,
            owner=order.owner,
            amount_nanos=order.amount_nanos,
            balance_nanos=balance.amount_nanos,
            note=order.note,
            creator_id=order.creator_id,
            create_time=balance.update_time,
        )


async def _row(connection: AsyncConnection, owner: Owner) -> Row | None:
    found = await connection.execute(
        select(BALANCES).where(
            BALANCES.c.record_id == owner.record_id, BALANCES.c.kind == owner.kind.value
        )
    )
    return found.mappings().one_or_none()


async def _made(connection: AsyncConnection, order: TopUpOrder) -> TopUp | None:
    """The top-up, if it was made already.

    Raises:
        AlreadyExistsError: Another one has its id.
    """
    found = await connection.execute(select(TOP_UPS).where(TOP_UPS.c.top_up_id == order.top_up_id))
    row = found.mappings().one_or_none()
    if row is None:
        return None
    asked = (order.owner.record_id, order.amount_nanos, order.note)
    if (row["record_id"], row["amount_nanos"], row["note"]) != asked:
        raise AlreadyExistsError(
            f"there is another top-up with the id {order.top_up_id} already: use another id",
            field="top_up_id",
            resource="top-up",
            id=order.top_up_id,
        )
    return _top_up(row, order.owner)


async def _write(connection: AsyncConnection, balance: Balance, number: int) -> None:
    """Keep a balance after its top-up of this number."""
    values = {
        "record_id": balance.owner.record_id,
        "kind": balance.owner.kind.value,
        "organization_id": balance.organization_id,
        "team_id": balance.team_id,
        "amount_nanos": balance.amount_nanos,
        "enforcement": balance.enforcement.value,
        "create_time": micros(balance.create_time),
        "update_time": micros(balance.update_time),
        "top_up_count": number,
    }
    if number == 1:
        await connection.execute(insert(BALANCES).values(values))
        return
    same = BALANCES.c.record_id == balance.owner.record_id
    await connection.execute(update(BALANCES).where(same).values(values))


def _sum(order: TopUpOrder, before_nanos: int) -> int:
    """What the top-ups come to with one more.

    Raises:
        FailedPreconditionError: It is less than nothing, or more than can be counted.
    """
    after = before_nanos + order.amount_nanos
    if after < 0:
        raise FailedPreconditionError(
            f"the top-ups of {order.owner.name} come to {usd_of_nanos(before_nanos)} USD: no more than"
            " that can be taken away",
            field="amount_nanos",
            subject=order.owner.name,
            amount=usd_of_nanos(before_nanos),
        )
    if after > LARGEST_COST_NANOS:
        raise FailedPreconditionError(
            f"the top-ups of {order.owner.name} would come to more than 9,000,000 USD",
            field="amount_nanos",
            subject=order.owner.name,
        )
    return after


def _within(query: Query) -> Iterable[ColumnElement[bool]]:
    if query.organization_id:
        yield BALANCES.c.organization_id == query.organization_id
    if query.team_id:
        yield BALANCES.c.team_id == query.team_id


def _balance(row: Row) -> Balance:
    return Balance(
        owner=Owner(SubjectKind(row["kind"]), row["record_id"]),
        organization_id=row["organization_id"],
        team_id=row["team_id"],
        amount_nanos=row["amount_nanos"],
        enforcement=Enforcement(row["enforcement"]),
        create_time=moment(row["create_time"]),
        update_time=moment(row["update_time"]),
    )


def _values(top_up: TopUp) -> dict[str, Any]:
    return {
        "top_up_id": top_up.top_up_id,
        "record_id": top_up.owner.record_id,
        "amount_nanos": top_up.amount_nanos,
        "balance_nanos": top_up.balance_nanos,
        "note": top_up.note,
        "creator_id": top_up.creator_id,
        "create_time": micros(top_up.create_time),
    }


def _top_up(row: Row, owner: Owner) -> TopUp:
    return TopUp(
        top_up_id=row["top_up_id"],
        owner=owner,
        amount_nanos=row["amount_nanos"],
        balance_nanos=row["balance_nanos"],
        note=row["note"],
        creator_id=row["creator_id"],
        create_time=moment(row["create_time"]),
    )
