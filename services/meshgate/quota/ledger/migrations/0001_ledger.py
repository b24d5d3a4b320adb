"""Entries in chains, the lines that reports count, and what both need."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
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


def _whole(name: str, kind: type[sa.types.TypeEngine[int]] = sa.BigInteger) -> sa.Column[int]:
    return sa.Column(name, kind, nullable=False)


def _zero(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def _place(*more: str) -> list[sa.schema.SchemaItem]:
    """Where something lies, as a primary key."""
    kinds = {"sequence": sa.BigInteger, "booked_time": sa.BigInteger}
    names = ("shard", "sequence", *more, "booked_time")
    columns: list[sa.schema.SchemaItem] = [
        _whole(name, kinds.get(name, sa.SmallInteger)) for name in names
    ]
    return [*columns, sa.PrimaryKeyConstraint(*names)]


def upgrade() -> None:
    """Make all tables."""
    _labels_and_ids()
    op.create_table(
        "ledger_entries",
        *_place(),
        sa.Column("entry_id", _TEXT, nullable=False),
        _whole("kind", sa.SmallInteger),
        sa.Column("content", sa.LargeBinary),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
        postgresql_partition_by="RANGE (booked_time)",
    )
    op.create_table(
        "ledger_lines",
        *_place("number"),
        *(_zero(name) for name in _LABELS),
        sa.Column("outcome", sa.SmallInteger, nullable=False, server_default="0"),
        *(_zero(name) for name in _COUNTS),
        postgresql_partition_by="RANGE (booked_time)",
    )
    op.create_index("ledger_lines_booked_time", "ledger_lines", ["booked_time"])
    op.create_index("ledger_lines_organization", "ledger_lines", ["organization", "booked_time"])
    for name in ("ledger_heads", "ledger_starts"):
        op.create_table(
            name,
            sa.Column("shard", sa.SmallInteger, primary_key=True, autoincrement=False),
            _whole("sequence"),
            sa.Column("chain", sa.LargeBinary, nullable=False),
        )
    _erasures_and_counters()


def _labels_and_ids() -> None:
    op.create_table(
        "ledger_labels",
        sa.Column("label_id", _SERIAL, primary_key=True, autoincrement=True),
        _whole("kind", sa.SmallInteger),
        sa.Column("text", _TEXT, nullable=False),
        sa.UniqueConstraint("kind", "text", name="ledger_labels_text"),
    )
    op.create_table(
        "ledger_ids",
        sa.Column("entry_id", _TEXT, primary_key=True),
        _whole("shard", sa.SmallInteger),
        _whole("sequence"),
        _whole("booked_time"),
    )
    op.create_index("ledger_ids_booked_time", "ledger_ids", ["booked_time"])


def _erasures_and_counters() -> None:
    op.create_table(
        "ledger_erasures",
        sa.Column("erasure_id", _SERIAL, primary_key=True, autoincrement=True),
        _whole("time"),
        _whole("kind", sa.SmallInteger),
        sa.Column("principal_id", sa.Text, nullable=False),
        _whole("entries"),
    )
    op.create_table(
        "ledger_counters",
        sa.Column("partition", _TEXT, primary_key=True),
        sa.Column("subject", _TEXT, primary_key=True),
        sa.Column("rule", _TEXT, primary_key=True),
    )
