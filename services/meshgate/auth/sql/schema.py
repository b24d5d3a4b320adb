"""The tables, as the last migration leaves them.

Times are microseconds since the epoch. What is a list or a mapping in a record is JSON. A new table
or column needs a migration, and its revision at the end of SCHEMA's.
"""

from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from meshgate.database.schema import Schema

SCHEMA = Schema(
    owner="auth",
    url_variable="AUTH_DATABASE_URL",
    revisions=("0001",),
    migrations=Path(__file__).parent / "migrations",
)

METADATA = MetaData()

# Sorted by code point on every database, so that lists are in the same order everywhere.
SORTED_TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def _shared() -> tuple[Column[object], ...]:
    return (
        Column("name", SORTED_TEXT, nullable=False),
        Column("limits", Text, nullable=False),
        Column("tags", Text, nullable=False),
        Column("create_time", BigInteger, nullable=False),
        Column("update_time", BigInteger, nullable=False),
        Column("version", Integer, nullable=False),
    )


def _organization() -> Column[object]:
    return Column(
        "organization_id", SORTED_TEXT, ForeignKey("organizations.organization_id"), nullable=False
    )


ORGANIZATIONS = Table(
    "organizations",
    METADATA,
    Column("organization_id", SORTED_TEXT, primary_key=True),
    Column("model_groups", Text, nullable=False),
    *_shared(),
    UniqueConstraint("name", name="organizations_name"),
)

TEAMS = Table(
    "teams",
    METADATA,
    Column("team_id", SORTED_TEXT, primary_key=True),
    _organization(),
    *_shared(),
    UniqueConstraint("organization_id", "name", name="teams_name"),
    Index("teams_list", "name", "team_id"),
)

USERS = Table(
    "users",
    METADATA,
    Column("user_id", SORTED_TEXT, primary_key=True),
    _organization(),
    Column("email", SORTED_TEXT, nullable=False),
    Column("roles", Text, nullable=False),
    *_shared(),
    UniqueConstraint("organization_id", "name", name="users_name"),
    Index(
        "users_email",
        "organization_id",
        "email",
        unique=True,
        sqlite_where=text("email <> ''"),
        postgresql_where=text("email <> ''"),
    ),
    Index("users_list", "name", "user_id"),
)

MEMBERSHIPS = Table(
    "memberships",
    METADATA,
    Column("user_id", SORTED_TEXT, ForeignKey("users.user_id"), primary_key=True),
    Column("team_id", SORTED_TEXT, ForeignKey("teams.team_id"), primary_key=True),
    Index("memberships_team", "team_id"),
)

KEYS = Table(
    "keys",
    METADATA,
    Column("key_id", SORTED_TEXT, primary_key=True),
    _organization(),
    Column("team_id", SORTED_TEXT, ForeignKey("teams.team_id")),
    Column("user_id", SORTED_TEXT, ForeignKey("users.user_id")),
    Column("allowed_models", Text, nullable=False),
    Column("allowed_networks", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("expire_time", BigInteger),
    Column("created_by", Text, nullable=False),
    Column("revoke_time", BigInteger),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("last_characters", Text, nullable=False),
    Column("previous_hash", LargeBinary),
    Column("overlap_end_time", BigInteger),
    *_shared(),
    Index(
        "keys_name",
        "organization_id",
        "name",
        unique=True,
        sqlite_where=text("revoke_time IS NULL"),
        postgresql_where=text("revoke_time IS NULL"),
    ),
    Index("keys_list", "name", "key_id"),
    Index("keys_organization", "organization_id", "name", "key_id"),
    Index("keys_team", "team_id", "name", "key_id"),
    Index("keys_user", "user_id", "name", "key_id"),
)

CHANGES = Table(
    "changes",
    METADATA,
    Column(
        "sequence",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    # The records that changed, as a JSON list; null where they are too many.
    Column("record_ids", Text),
)

# One row. Whoever writes anything counts it up first: so there is one writer at a time, as in
# SQLite, and the sequence of changes is that of their commits.
CHANGE_HEAD = Table("change_head", METADATA, Column("latest", BigInteger, nullable=False))
