"""Organizations, teams, users and keys, and the changes of them."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _shared() -> list[sa.Column[object]]:
    return [
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("limits", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
    ]


def _organization() -> sa.Column[object]:
    reference = sa.ForeignKey("organizations.organization_id")
    return sa.Column("organization_id", _TEXT, reference, nullable=False)


def upgrade() -> None:
    """Make everything, and the default organization."""
    _make_organizations()
    _make_teams_and_users()
    _make_keys()
    _make_changes()


def _make_organizations() -> None:
    organizations = op.create_table(
        "organizations",
        sa.Column("organization_id", _TEXT, primary_key=True),
        sa.Column("model_groups", sa.Text, nullable=False),
        *_shared(),
        sa.UniqueConstraint("name", name="organizations_name"),
    )
    now = time.time_ns() // 1_000
    default = {
        "organization_id": "default",
        "name": "default",
        "model_groups": "{}",
        "limits": "[]",
        "tags": "{}",
        "create_time": now,
        "update_time": now,
        "version": 1,
    }
    op.bulk_insert(organizations, [default])


def _make_teams_and_users() -> None:
    op.create_table(
        "teams",
        sa.Column("team_id", _TEXT, primary_key=True),
        _organization(),
        *_shared(),
        sa.UniqueConstraint("organization_id", "name", name="teams_name"),
    )
    op.create_index("teams_list", "teams", ["name", "team_id"])
    op.create_table(
        "users",
        sa.Column("user_id", _TEXT, primary_key=True),
        _organization(),
        sa.Column("email", _TEXT, nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        *_shared(),
        sa.UniqueConstraint("organization_id", "name", name="users_name"),
    )
    _make_partial_index("users_email", "users", ["organization_id", "email"], "email <> ''")
    op.create_index("users_list", "users", ["name", "user_id"])
    op.create_table(
        "memberships",
        sa.Column("user_id", _TEXT, sa.ForeignKey("users.user_id"), primary_key=True),
        sa.Column("team_id", _TEXT, sa.ForeignKey("teams.team_id"), primary_key=True),
    )
    op.create_index("memberships_team", "memberships", ["team_id"])


def _make_keys() -> None:
    op.create_table(
        "keys",
        sa.Column("key_id", _TEXT, primary_key=True),
        _organization(),
        sa.Column("team_id", _TEXT, sa.ForeignKey("teams.team_id")),
        sa.Column("user_id", _TEXT, sa.ForeignKey("users.user_id")),
        sa.Column("allowed_models", sa.Text, nullable=False),
        sa.Column("allowed_networks", sa.Text, nullable=False),
        sa.Column("roles", sa.Text, nullable=False),
        sa.Column("expire_time", sa.BigInteger),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("revoke_time", sa.BigInteger),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("last_characters", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.LargeBinary),
        sa.Column("overlap_end_time", sa.BigInteger),
        *_shared(),
    )
    _make_partial_index("keys_name", "keys", ["organization_id", "name"], "revoke_time IS NULL")
    op.create_index("keys_list", "keys", ["name", "key_id"])
    op.create_index("keys_organization", "keys", ["organization_id", "name", "key_id"])
    op.create_index("keys_team", "keys", ["team_id", "name", "key_id"])
    op.create_index("keys_user", "keys", ["user_id", "name", "key_id"])


def _make_partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(
        name, table, columns, unique=True, sqlite_where=condition, postgresql_where=condition
    )


def _make_changes() -> None:
    sequence = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "changes",
        sa.Column("sequence", sequence, primary_key=True, autoincrement=False),
        sa.Column("record_ids", sa.Text),
    )
    head = op.create_table("change_head", sa.Column("latest", sa.BigInteger, nullable=False))
    op.bulk_insert(head, [{"latest": 0}])
