"""Records as rows, and back."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import RowMapping

from meshgate.auth.records import Key, Organization, Team, User
from meshgate.limits.limit import Limit

Row: TypeAlias = RowMapping

_EPOCH = datetime.fromtimestamp(0, UTC)
_MICROSECOND = timedelta(microseconds=1)

_TEXTS = tuple[str, ...]
_LIMITS = tuple[Limit, ...]
_TAGS = dict[str, str]
_GROUPS = dict[str, tuple[str, ...]]


def micros(moment: datetime) -> int:
    """A time as a number."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(number: int) -> datetime:
    """A number as a time."""
    return _EPOCH + number * _MICROSECOND


def optional_moment(number: int | None) -> datetime | None:
    """A number as a time, if there is one."""
    return None if number is None else moment(number)


def written(value: object) -> str:
    """A list or mapping of a record, as JSON."""
    return msgspec.json.encode(value).decode()


def limits_of(text: str | None) -> tuple[Limit, ...]:
    """The limits that were written; none where there is no row."""
    return msgspec.json.decode(text, type=_LIMITS) if text else ()


def groups_of(text: str) -> Mapping[str, tuple[str, ...]]:
    """The model groups that were written."""
    return msgspec.json.decode(text, type=_GROUPS)


def texts_of(text: str | None) -> tuple[str, ...]:
    """The texts that were written; none where there is no row."""
    return msgspec.json.decode(text, type=_TEXTS) if text else ()


def tags_of(text: str) -> Mapping[str, str]:
    """The tags that were written."""
    return msgspec.json.decode(text, type=_TAGS)


def organization_values(record: Organization) -> dict[str, Any]:
    """What of an organization is kept as it is given."""
    return {**_shared_values(record), "model_groups": written(record.model_groups)}


def organization_of(row: Row) -> Organization:
    """The organization in a row."""
    return Organization(
        organization_id=row["organization_id"],
        model_groups=groups_of(row["model_groups"]),
        **_shared_fields(row),
    )


def team_values(record: Team) -> dict[str, Any]:
    """What of a team is kept as it is given."""
    return {**_shared_values(record), "organization_id": record.organization_id}


def team_of(row: Row) -> Team:
    """The team in a row."""
    return Team(
        team_id=row["team_id"], organization_id=row["organization_id"], **_shared_fields(row)
    )


def user_values(record: User) -> dict[str, Any]:
    """What of a user is kept as it is given, but for the memberships."""
    return {
        **_shared_values(record),
        "organization_id": record.organization_id,
        "email": record.email,
        "roles": written(record.roles),
    }


def user_of(row: Row) -> User:
    """The user in a row, without the memberships."""
    return User(
        user_id=row["user_id"],
        organization_id=row["organization_id"],
        email=row["email"],
        roles=texts_of(row["roles"]),
        **_shared_fields(row),
    )


def key_values(record: Key) -> dict[str, Any]:
    """What of a key is kept as it is given."""
    return {
        **_shared_values(record),
        "organization_id": record.organization_id,
        "team_id": record.team_id or None,
        "user_id": record.user_id or None,
        "allowed_models": written(record.allowed_models),
        "allowed_networks": written(record.allowed_networks),
        "roles": written(record.roles),
        "expire_time": None if record.expire_time is None else micros(record.expire_time),
        "created_by": record.created_by,
    }


def key_of(row: Row) -> Key:
    """The key in a row."""
    return Key(
        key_id=row["key_id"],
        organization_id=row["organization_id"],
        team_id=row["team_id"] or "",
        user_id=row["user_id"] or "",
        allowed_models=texts_of(row["allowed_models"]),
        allowed_networks=texts_of(row["allowed_networks"]),
        roles=texts_of(row["roles"]),
        expire_time=optional_moment(row["expire_time"]),
        created_by=row["created_by"],
        revoke_time=optional_moment(row["revoke_time"]),
        last_characters=row["last_characters"],
        overlap_end_time=optional_moment(row["overlap_end_time"]),
        **_shared_fields(row),
    )


def _shared_values(record: Organization | Team | User | Key) -> dict[str, Any]:
    return {
        "name": record.name,
        "limits": written(record.limits),
        "tags": written(dict(record.tags)),
    }


def _shared_fields(row: Row) -> dict[str, Any]:
    return {
        "name": row["name"],
        "limits": limits_of(row["limits"]),
        "tags": tags_of(row["tags"]),
        "create_time": moment(row["create_time"]),
        "update_time": moment(row["update_time"]),
        "etag": str(row["version"]),
    }
