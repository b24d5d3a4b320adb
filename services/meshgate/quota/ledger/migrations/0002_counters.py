"""Since when a counter counts, and when it was last seen."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns."""
    for name in ("since", "seen"):
        column = sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        op.add_column("ledger_counters", column)
