"""Balances and their top-ups."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make both tables, empty."""
    op.create_table(
        "balances",
        sa.Column("record_id", _TEXT, primary_key=True),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("organization_id", _TEXT, nullable=False),
        sa.Column("team_id", _TEXT, nullable=False),
        sa.Column("amount_nanos", sa.BigInteger, nullable=False),
        sa.Column("enforcement", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        sa.Column("top_up_count", sa.BigInteger, nullable=False),
    )
    op.create_index("balances_list", "balances", ["kind", "record_id"])
    op.create_index("balances_organization", "balances", ["organization_id", "kind", "record_id"])
    op.create_table(
        "top_ups",
        sa.Column("top_up_id", _TEXT, primary_key=True),
        sa.Column("record_id", _TEXT, sa.ForeignKey("balances.record_id"), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("amount_nanos", sa.BigInteger, nullable=False),
        sa.Column("balance_nanos", sa.BigInteger, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("creator_id", sa.Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("record_id", "number", name="top_ups_list"),
    )
