"""Of how many lines each sum of an hour is, so that lines can be taken out of it again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column. Sums that are there have another mark, and are made anew."""
    column = sa.Column("lines", sa.BigInteger, nullable=False, server_default="0")
    op.add_column("ledger_hours", column)
