"""The tables of the ledger, as the last migration leaves them.

Times are microseconds since the epoch, money is nano-dollars. A new table or column needs a migration,
and its revision at the end of SCHEMA's. On PostgreSQL `ledger_entries` and `ledger_lines` are
partitioned by month of `booked_time`; whoever writes makes the month first.
"""

from pathlib import Path

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from meshgate.database.schema import Schema

SCHEMA = Schema(
    owner="ledger",
    url_variable="LEDGER_DATABASE_URL",
    revisions=("0001", "0002", "0003", "0004", "0005"),
    migrations=Path(__file__).parent / "migrations",
    version_table="ledger_version",
)

METADATA = MetaData()

NO_LABEL = 0
"""Where a line names none."""

_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
# SQLite counts up only a primary key that is called INTEGER.
_SERIAL = BigInteger().with_variant(Integer(), "sqlite")
_BY_MONTH = "RANGE (booked_time)"

# Names that lines refer to: of organizations, keys, models, ...
LABELS = Table(
    "ledger_labels",
    METADATA,
    Column("label_id", _SERIAL, primary_key=True, autoincrement=True),
    Column("kind", SmallInteger, nullable=False),
    Column("text", _TEXT, nullable=False),
    UniqueConstraint("kind", "text", name="ledger_labels_text"),
)

# What is in the ledger, so that nothing comes in twice: a hold id, or an adjustment's.
IDS = Table(
    "ledger_ids",
    METADATA,
    Column("entry_id", _TEXT, primary_key=True),
    Column("shard", SmallInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("booked_time", BigInteger, nullable=False),
    Index("ledger_ids_booked_time", "booked_time"),
)

# What was used, each entry chained to the one before it in its shard.
ENTRIES = Table(
    "ledger_entries",
    METADATA,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    # The moment whose windows it counts in.
    Column("booked_time", BigInteger, primary_key=True, autoincrement=False),
    Column("entry_id", _TEXT, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    # A serialized UsageRecord or Adjustment; null once it was erased.
    Column("content", LargeBinary),
    # SHA-256 of what the content was.
    Column("digest", LargeBinary, nullable=False),
    # The link to the entry before; see `entries`.
    Column("chain", LargeBinary, nullable=False),
    postgresql_partition_by=_BY_MONTH,
)


def _zero(name: str) -> Column[int]:
    """A number that is 0 unless told otherwise: a count, an amount, or NO_LABEL."""
    return Column(name, BigInteger, nullable=False, server_default="0")


# The entries as reports count them: one line for each charge, or one without any.
LINES = Table(
    "ledger_lines",
    METADATA,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("booked_time", BigInteger, primary_key=True, autoincrement=False),
    _zero("organization"),
    _zero("team"),
    _zero("user"),
    _zero("key"),
    _zero("model"),
    # `provider/model`
    _zero("target"),
    # All tags together, as JSON with sorted names.
    _zero("tags"),
    Column("outcome", SmallInteger, nullable=False, server_default="0"),
    # 1 on the first line of a request, 0 on its others.
    _zero("requests"),
    _zero("cache_hits"),
    _zero("input_tokens"),
    _zero("cached_input_tokens"),
    _zero("cache_creation_input_tokens"),
    _zero("output_tokens"),
    _zero("reasoning_tokens"),
    _zero("cost_nanos"),
    # Charges whose cost is not known, as their model has no price.
    _zero("unpriced_charges"),
    # Charges whose usage was counted here, as no upstream reported it.
    _zero("estimated_charges"),
    _zero("saved_cost_nanos"),
    _zero("saved_tokens"),
    Index("ledger_lines_booked_time", "booked_time"),
    Index("ledger_lines_organization", "organization", "booked_time"),
    postgresql_partition_by=_BY_MONTH,
)

LABEL_COLUMNS = ("organization", "team", "user", "key", "model", "target", "tags")
COUNT_COLUMNS = (
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

# The lines summed up by the hour, as far as `ledger_summed` says: reports need not count each one.
HOURS = Table(
    "ledger_hours",
    METADATA,
    # When the hour begins.
    *(
        Column(name, BigInteger, primary_key=True, autoincrement=False)
        for name in ("booked_time", *LABEL_COLUMNS)
    ),
    *(Column(name, BigInteger, nullable=False) for name in COUNT_COLUMNS),
    # Of how many lines: what is a sum of none any more goes.
    _zero("lines"),
    sqlite_with_rowid=False,
)

# Up to which entry of each shard its lines are summed up by the hour.
SUMMED = Table(
    "ledger_summed",
    METADATA,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    # How the sums are made: what is of another mark counts no more.
    Column("mark", Text, nullable=False),
)

# The last entry of each shard. Whoever appends locks the row.
HEADS = Table(
    "ledger_heads",
    METADATA,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("chain", LargeBinary, nullable=False),
)

# The last entry of each shard that was dropped because of its age: there its chain begins.
STARTS = Table(
    "ledger_starts",
    METADATA,
    Column("shard", SmallInteger, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("chain", LargeBinary, nullable=False),
)

# What was erased on demand: whose, when, and by whom.
ERASURES = Table(
    "ledger_erasures",
    METADATA,
    Column("erasure_id", _SERIAL, primary_key=True, autoincrement=True),
    Column("time", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("principal_id", Text, nullable=False),
    Column("entries", BigInteger, nullable=False),
)

# The counters that quota has kept, so that they can be made again from the ledger.
COUNTERS = Table(
    "ledger_counters",
    METADATA,
    Column("partition", _TEXT, primary_key=True),
    # As Subject.name: `key/k_123`.
    Column("subject", _TEXT, primary_key=True),
    # As the scripts call it, such as `cost/month/calendar/UTC`.
    Column("rule", _TEXT, primary_key=True),
    # The first grant that it counted: before, its limit was not there.
    _zero("since"),
    # When it was last seen to be used in its window.
    _zero("seen"),
    # The most that it was seen to hold as spent, where it has no end; and when, 0 for not yet.
    _zero("spent"),
    _zero("spent_at"),
)
