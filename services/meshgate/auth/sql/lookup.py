"""What finding principals reads: keys by their ids, with what they belong to."""

from collections.abc import Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from meshgate.auth import balances
from meshgate.auth.issued_keys import StoredKey
from meshgate.auth.rules import is_id
from meshgate.auth.scopes import Scopes
from meshgate.auth.sql.rows import Row, groups_of, key_of, limits_of, texts_of
from meshgate.auth.sql.schema import BALANCES, KEYS, ORGANIZATIONS, TEAMS, USERS
from meshgate.database.database import Database
from meshgate.limits.limit import Enforcement, Limit

_STORED_KEYS = (
    select(
        KEYS,
        ORGANIZATIONS.c.model_groups,
        ORGANIZATIONS.c.limits.label("organization_limits"),
        TEAMS.c.limits.label("team_limits"),
        USERS.c.limits.label("user_limits"),
        USERS.c.roles.label("user_roles"),
    )
    .join(ORGANIZATIONS, ORGANIZATIONS.c.organization_id == KEYS.c.organization_id)
    .outerjoin(TEAMS, TEAMS.c.team_id == KEYS.c.team_id)
    .outerjoin(USERS, USERS.c.user_id == KEYS.c.user_id)
)


_OWNER_IDS = ("key_id", "user_id", "team_id", "organization_id")


class SqlLookup:
    """A `KeyLookup` and a `ScopeSource`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def stored_keys(self, key_ids: frozenset[str]) -> Mapping[str, StoredKey]:
        async with self._database.reading() as connection:
            found = await connection.execute(_STORED_KEYS.where(KEYS.c.key_id.in_(key_ids)))
            keys = found.mappings().all()
            owners = {row[name] for row in keys for name in _OWNER_IDS if row[name]}
            paid = await _balances(connection, owners)
        return {row["key_id"]: _stored(row, paid) for row in keys}

    async def scopes(self, ids: frozenset[str]) -> Scopes:
        possible = [of for of in ids if is_id(of)]
        rows: list[tuple[str, Row]] = []
        async with self._database.reading() as connection:
            for table in (ORGANIZATIONS, TEAMS, USERS):
                identifier = next(iter(table.primary_key))
                found = await connection.execute(select(table).where(identifier.in_(possible)))
                rows += [(row[identifier.name], row) for row in found.mappings()]
            paid = await _balances(connection, ids)
        return Scopes(
            limits={of: limits_of(row["limits"]) for of, row in rows},
            balances=paid,
            model_groups={
                of: groups_of(row["model_groups"]) for of, row in rows if "model_groups" in row
            },
            roles={of: texts_of(row["roles"]) for of, row in rows if "roles" in row},
        )


async def _balances(connection: AsyncConnection, ids: Iterable[str]) -> Mapping[str, Limit]:
    """What balances there are allow, by the ids of their owners."""
    columns = (BALANCES.c.record_id, BALANCES.c.amount_nanos, BALANCES.c.enforcement)
    found = await connection.execute(select(*columns).where(BALANCES.c.record_id.in_(ids)))
    return {of: balances.limit_of(amount, Enforcement(word)) for of, amount, word in found}


def _stored(row: Row, paid: Mapping[str, Limit]) -> StoredKey:
    key = key_of(row)
    scopes = Scopes(
        limits={
            key.organization_id: limits_of(row["organization_limits"]),
            key.team_id: limits_of(row["team_limits"]),
            key.user_id: limits_of(row["user_limits"]),
        },
        balances=paid,
        model_groups={key.organization_id: groups_of(row["model_groups"])},
        roles={key.user_id: texts_of(row["user_roles"])},
    )
    return StoredKey(key, row["secret_hash"], row["previous_hash"], scopes)
