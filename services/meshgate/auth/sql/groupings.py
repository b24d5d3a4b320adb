"""Organizations, teams and users in SQL."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.auth.directory import Query
from meshgate.auth.records import DEFAULT_ORGANIZATION, Organization, Team, User
from meshgate.auth.rules import checked_organization, checked_team, checked_user
from meshgate.auth.sql.change_log import MOST_NAMED
from meshgate.auth.sql.collection import Conditions, R, SqlCollection, check_exists, check_none
from meshgate.auth.sql.rows import (
    Row,
    organization_of,
    organization_values,
    team_of,
    team_values,
    user_of,
    user_values,
)
from meshgate.auth.sql.schema import KEYS, MEMBERSHIPS, ORGANIZATIONS, TEAMS, USERS
from meshgate.runtime.errors import FailedPreconditionError


class _Grouping(SqlCollection[R]):
    """Records that keys belong to."""

    prefix: str

    async def create(self, record: R) -> R:
        async with self._tools.log.writing() as writing:
            return await self._insert(writing, self._tools.new_id(self.prefix), record)


class Organizations(_Grouping[Organization]):
    """The organizations."""

    kind = "organization"
    prefix = "org_"
    table = ORGANIZATIONS
    filters = frozenset()
    fixed = ("id",)

    def _checked(self, record: Organization) -> Organization:
        return checked_organization(record)

    def _values(self, record: Organization) -> dict[str, Any]:
        return organization_values(record)

    def _unique(self, record: Organization) -> Iterable[tuple[str, str, Conditions]]:
        yield "name", record.name, []

    async def _records(
        self, connection: AsyncConnection, rows: Sequence[Row]
    ) -> tuple[Organization, ...]:
        return tuple(organization_of(row) for row in rows)

    async def _check_references(
        self, connection: AsyncConnection, record: Organization, before: Organization | None
    ) -> None:
        """It refers to nothing."""

    async def _check_unused(self, connection: AsyncConnection, record: Organization) -> None:
        if record.id == DEFAULT_ORGANIZATION:
            raise FailedPreconditionError("the default organization is always there")
        owner = f"the organization {record.id}"
        for plural, table in (("keys", KEYS), ("users", USERS), ("teams", TEAMS)):
            await check_none(connection, owner, plural, table, table.c.organization_id == record.id)

    async def _affected(
        self, connection: AsyncConnection, record: Organization, before: Organization
    ) -> Iterable[str]:
        if (record.limits, record.model_groups) == (before.limits, before.model_groups):
            return ()
        return await live_keys(connection, KEYS.c.organization_id == record.id)


class Teams(_Grouping[Team]):
    """The teams."""

    kind = "team"
    prefix = "team_"
    table = TEAMS
    filters = frozenset({"organization_id"})

    def _checked(self, record: Team) -> Team:
        return checked_team(record)

    def _values(self, record: Team) -> dict[str, Any]:
        return team_values(record)

    async def _records(self, connection: AsyncConnection, rows: Sequence[Row]) -> tuple[Team, ...]:
        return tuple(team_of(row) for row in rows)

    async def _check_references(
        self, connection: AsyncConnection, record: Team, before: Team | None
    ) -> None:
        await check_organization(connection, record.organization_id)

    async def _check_unused(self, connection: AsyncConnection, record: Team) -> None:
        owner = f"the team {record.id}"
        await check_none(connection, owner, "keys", KEYS, KEYS.c.team_id == record.id)
        members = MEMBERSHIPS.c.team_id == record.id
        await check_none(connection, owner, "members", MEMBERSHIPS, members)

    async def _affected(
        self, connection: AsyncConnection, record: Team, before: Team
    ) -> Iterable[str]:
        if record.limits == before.limits:
            return ()
        return await live_keys(connection, KEYS.c.team_id == record.id)


class Users(_Grouping[User]):
    """The users."""

    kind = "user"
    prefix = "user_"
    table = USERS
    filters = frozenset({"organization_id", "team_id"})

    def _checked(self, record: User) -> User:
        return checked_user(record)

    def _values(self, record: User) -> dict[str, Any]:
        return user_values(record)

    def _unique(self, record: User) -> Iterable[tuple[str, str, Conditions]]:
        yield from super()._unique(record)
        if record.email:
            yield "email", record.email, [USERS.c.organization_id == record.organization_id]

    def _conditions(self, query: Query) -> Conditions:
        conditions = super()._conditions(query)
        if query.team_id:
            members = select(MEMBERSHIPS.c.user_id).where(MEMBERSHIPS.c.team_id == query.team_id)
            conditions.append(USERS.c.user_id.in_(members))
        return conditions

    async def _records(self, connection: AsyncConnection, rows: Sequence[Row]) -> tuple[User, ...]:
        users = {row["user_id"]: user_of(row) for row in rows}
        teams: dict[str, list[str]] = {user_id: [] for user_id in users}
        found = await connection.execute(
            select(MEMBERSHIPS)
            .where(MEMBERSHIPS.c.user_id.in_(users))
            .order_by(MEMBERSHIPS.c.team_id)
        )
        for user_id, team_id in found:
            teams[user_id].append(team_id)
        return tuple(replace(user, team_ids=tuple(teams[of])) for of, user in users.items())

    async def _check_references(
        self, connection: AsyncConnection, record: User, before: User | None
    ) -> None:
        await check_organization(connection, record.organization_id)
        teams_before = before.team_ids if before else ()
        for team_id in sorted(set(record.team_ids).difference(teams_before)):
            await check_exists(
                connection, TEAMS, "team", team_id=team_id, organization_id=record.organization_id
            )
        for team_id in sorted(set(teams_before).difference(record.team_ids)):
            keys = await live_keys(
                connection, KEYS.c.team_id == team_id, KEYS.c.user_id == record.id
            )
            if keys:
                raise FailedPreconditionError(
                    f"the user {record.id} has keys of the team {team_id}: revoke {keys[0]} first",
                    field="team_ids",
                    user_id=record.id,
                    team_id=team_id,
                    key_id=keys[0],
                )

    async def _check_unused(self, connection: AsyncConnection, record: User) -> None:
        owner = f"the user {record.id}"
        await check_none(connection, owner, "keys", KEYS, KEYS.c.user_id == record.id)

    async def _affected(
        self, connection: AsyncConnection, record: User, before: User
    ) -> Iterable[str]:
        if (record.limits, record.roles) == (before.limits, before.roles):
            return ()
        return await live_keys(connection, KEYS.c.user_id == record.id)

    async def _write_parts(self, connection: AsyncConnection, record: User) -> None:
        await self._delete_parts(connection, record)
        if record.team_ids:
            members = [{"user_id": record.id, "team_id": team_id} for team_id in record.team_ids]
            await connection.execute(insert(MEMBERSHIPS), members)

    async def _delete_parts(self, connection: AsyncConnection, record: User) -> None:
        await connection.execute(delete(MEMBERSHIPS).where(MEMBERSHIPS.c.user_id == record.id))


async def check_organization(connection: AsyncConnection, organization_id: str) -> None:
    """Check that the organization is there.

    Raises:
        NotFoundError: It is not.
    """
    await check_exists(connection, ORGANIZATIONS, "organization", organization_id=organization_id)


async def live_keys(connection: AsyncConnection, *conditions: ColumnElement[bool]) -> Sequence[str]:
    """The ids of keys that are not revoked; of so many that they cannot be named, only some."""
    keys = select(KEYS.c.key_id).where(*conditions, KEYS.c.revoke_time.is_(None))
    return (await connection.scalars(keys.limit(MOST_NAMED + 1))).all()
