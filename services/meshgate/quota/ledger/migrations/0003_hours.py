"""The lines summed up by the hour, so that reports need not count each of them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_LABELS = ("organization", "team", "user", "key", "model", "target", "tags")
_COUNTS = (
    "requests",
    "cache_hits",
    "input_tokens",
    "cached_input_tokens",
    "cache_creation_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanos",
    "unpriced_charges",
    "estimated_charges",
    "saved_cost_nanos",
    "saved_tokens",
)


def upgrade() -> None:
    """From `0001`."""
    op.create_table(
        "ledger_hours",
        *(
            sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)
            for name in ("booked_time", *_LABELS)
        ),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_summed",
        sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("mark", sa.Text, nullable=False),
    )
