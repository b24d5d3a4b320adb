"""Keys in SQL."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.auth.credentials import Credential
from meshgate.auth.directory import LONGEST_OVERLAP, KeyState, Query
from meshgate.auth.records import IssuedKey, Key
from meshgate.auth.rules import check_groups, checked_key
from meshgate.auth.sql.collection import Conditions, SqlCollection, check_exists
from meshgate.auth.sql.groupings import check_organization
from meshgate.auth.sql.rows import Row, key_of, key_values, micros, organization_of
from meshgate.auth.sql.schema import KEYS, MEMBERSHIPS, ORGANIZATIONS, TEAMS, USERS
from meshgate.runtime.errors import FailedPreconditionError, InvalidRequestError


class Keys(SqlCollection[Key]):
    """The keys."""

    kind = "key"
    table = KEYS
    filters = frozenset({"organization_id", "team_id", "user_id", "key_state"})
    fixed = ("id", "organization_id", "team_id", "user_id", "created_by")

    async def issue(self, record: Key) -> IssuedKey:
        if record.expire_time is not None and record.expire_time <= self._tools.now():
            raise InvalidRequestError("expire_time: has passed already", field="expire_time")
        credential = self._tools.peppers.new_credential(self._tools.new_id)
        async with self._tools.log.writing() as writing:
            secret = self._secret_values(credential)
            key = await self._insert(writing, credential.key_id, record, secret)
        return IssuedKey(key, credential.text)

    async def revoke(self, key_id: str, etag: str = "") -> Key:
        async with self._tools.log.writing() as writing:
            key = await self._one(writing.connection, key_id, etag)
            if key.revoke_time is not None:
                return key
            now = micros(self._tools.now())
            await self._write(writing.connection, key_id, {"revoke_time": now})
            writing.changed_ids.add(key_id)
            return await self._one(writing.connection, key_id)

    async def rotate(self, key_id: str, overlap: timedelta, etag: str = "") -> IssuedKey:
        if not timedelta() <= overlap <= LONGEST_OVERLAP:
            raise InvalidRequestError(
                "overlap: must be from 0 to 7 days", field="overlap", overlap=str(overlap)
            )
        credential = self._tools.peppers.new_secret(key_id)
        async with self._tools.log.writing() as writing:
            key = await self._one(writing.connection, key_id, etag)
            self._check_usable(key)
            overlap_values = {
                "previous_hash": KEYS.c.secret_hash if overlap else None,
                "overlap_end_time": micros(self._tools.now() + overlap) if overlap else None,
            }
            values = self._secret_values(credential) | overlap_values
            await self._write(writing.connection, key_id, values)
            writing.changed_ids.add(key_id)
            key = await self._one(writing.connection, key_id)
        return IssuedKey(key, credential.text)

    def _secret_values(self, credential: Credential) -> dict[str, Any]:
        return {
            "secret_hash": self._tools.peppers.hash(credential),
            "last_characters": credential.last_characters,
        }

    def _check_usable(self, key: Key) -> None:
        if key.revoke_time is not None:
            raise _revoked(key)
        if key.expire_time is not None and key.expire_time <= self._tools.now():
            raise FailedPreconditionError(
                f"the key {key.id} has expired: make another one", key_id=key.id
            )

    def _checked(self, record: Key) -> Key:
        return checked_key(record)

    def _values(self, record: Key) -> dict[str, Any]:
        return key_values(record)

    def _unique(self, record: Key) -> Iterable[tuple[str, str, Conditions]]:
        for field, value, among in super()._unique(record):
            yield field, value, [*among, KEYS.c.revoke_time.is_(None)]

    def _conditions(self, query: Query) -> Conditions:
        conditions = super()._conditions(query)
        if query.team_id:
            conditions.append(KEYS.c.team_id == query.team_id)
        if query.user_id:
            conditions.append(KEYS.c.user_id == query.user_id)
        match query.key_state:
            case KeyState.LIVE:
                conditions.append(KEYS.c.revoke_time.is_(None))
            case KeyState.REVOKED:
                conditions.append(KEYS.c.revoke_time.is_not(None))
            case KeyState.ANY:
                pass
        return conditions

    async def _records(self, connection: AsyncConnection, rows: Sequence[Row]) -> tuple[Key, ...]:
        now = self._tools.now()
        return tuple(_without_past_overlap(key_of(row), now) for row in rows)

    async def _check_references(
        self, connection: AsyncConnection, record: Key, before: Key | None
    ) -> None:
        if before is not None and before.revoke_time is not None:
            raise _revoked(before)
        organization_id = record.organization_id
        if before is None:
            await check_organization(connection, organization_id)
            await self._check_owners(connection, record)
        if before is None or record.allowed_models != before.allowed_models:
            found = await connection.execute(
                select(ORGANIZATIONS).where(ORGANIZATIONS.c.organization_id == organization_id)
            )
            check_groups(record, organization_of(found.mappings().one()))

    async def _check_owners(self, connection: AsyncConnection, record: Key) -> None:
        within = {"organization_id": record.organization_id}
        if record.team_id:
            await check_exists(connection, TEAMS, "team", team_id=record.team_id, **within)
        if record.user_id:
            await check_exists(connection, USERS, "user", user_id=record.user_id, **within)
        if not (record.team_id and record.user_id):
            return
        member = select(MEMBERSHIPS.c.user_id).where(
            MEMBERSHIPS.c.user_id == record.user_id, MEMBERSHIPS.c.team_id == record.team_id
        )
        if await connection.scalar(member) is None:
            raise InvalidRequestError(
                f"team_id: the user {record.user_id} is not a member of the team {record.team_id}",
                field="team_id",
                user_id=record.user_id,
                team_id=record.team_id,
            )

    async def _check_unused(self, connection: AsyncConnection, record: Key) -> None:
        """Nothing belongs to a key."""

    async def _affected(
        self, connection: AsyncConnection, record: Key, before: Key
    ) -> Iterable[str]:
        return ()


def _revoked(key: Key) -> FailedPreconditionError:
    return FailedPreconditionError(f"the key {key.id} is revoked: make another one", key_id=key.id)


def _without_past_overlap(key: Key, now: datetime) -> Key:
    """The key, without an overlap that is over."""
    if key.overlap_end_time is None or key.overlap_end_time > now:
        return key
    return replace(key, overlap_end_time=None)
