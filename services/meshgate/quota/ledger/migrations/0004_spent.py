"""What counters without an end held when they were looked at: the books may not go back that far."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for name in ("spent", "spent_at"):
        column = sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        op.add_column("ledger_counters", column)
