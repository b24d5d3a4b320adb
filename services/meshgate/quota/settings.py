"""What the quota service is told by its environment."""

from dataclasses import dataclass, field

from meshgate.runtime.environment import Environment, SettingError

_SHORTEST_RETENTION_SECONDS = 86_400.0


@dataclass(frozen=True)
class Settings:
    """How the quota service works.

    Attributes:
        redis_url: Where it counts, `REDIS_URL`; see `redis_address`.
        retention_seconds: How long a grant that has ended is remembered.
        settled_retention_seconds: How long it is remembered what was settled: for so long a
            settlement may be sent again.
        usage_entries: About how many settlements with usage records a shard keeps; with a ledger, how
            many may wait for it before nothing more is granted.
        alert_entries: About how many alerts a shard keeps.
        hold_seconds: How long a call may take that somebody waits for.
        settle_seconds: How long it may take until a settlement is on disk.
        settled_replicas: On how many replicas, beside the primary, it must be on disk.
        sweep_seconds: The time between two looks for grants whose ttl has passed.
        ledger_url: The database of the ledger, `LEDGER_DATABASE_URL`; None for no ledger.
        ledger_seconds: How long one of its transactions may take.
        ledger_retention_seconds: How old its entries may become; None for any age.
        rebuild_seconds: How long budgets grant nothing, at most, while counters that were lost are made
            again from the ledger.
        report_seconds: How long the ledger may be read for one answer.
    """

    redis_url: str = field(repr=False)
    retention_seconds: float = 600.0
    settled_retention_seconds: float = 3_600.0
    usage_entries: int = 100_000
    alert_entries: int = 1_000
    hold_seconds: float = 1.0
    settle_seconds: float = 5.0
    settled_replicas: int = 0
    sweep_seconds: float = 1.0
    ledger_url: str | None = field(default=None, repr=False)
    ledger_seconds: float = 5.0
    ledger_retention_seconds: float | None = None
    rebuild_seconds: float = 30.0
    report_seconds: float = 20.0

    @classmethod
    def read(cls, env: Environment) -> "Settings":
        return cls(
            redis_url=env.text("REDIS_URL"),
            retention_seconds=env.seconds("QUOTA_RETENTION", cls.retention_seconds),
            settled_retention_seconds=env.seconds(
                "QUOTA_SETTLED_RETENTION", cls.settled_retention_seconds
            ),
            usage_entries=env.integer("QUOTA_USAGE_ENTRIES", cls.usage_entries),
            alert_entries=env.integer("QUOTA_ALERT_ENTRIES", cls.alert_entries),
            hold_seconds=env.seconds("QUOTA_HOLD_TIMEOUT", cls.hold_seconds),
            settle_seconds=env.seconds("QUOTA_SETTLE_TIMEOUT", cls.settle_seconds),
            settled_replicas=env.integer("QUOTA_SETTLED_REPLICAS", cls.settled_replicas),
            sweep_seconds=env.seconds("QUOTA_SWEEP_INTERVAL", cls.sweep_seconds),
            ledger_url=env.optional_text("LEDGER_DATABASE_URL"),
            ledger_seconds=env.seconds("LEDGER_TIMEOUT", cls.ledger_seconds),
            ledger_retention_seconds=_retention(env),
            rebuild_seconds=env.seconds("QUOTA_REBUILD_TIMEOUT", cls.rebuild_seconds),
            report_seconds=env.seconds("LEDGER_REPORT_TIMEOUT", cls.report_seconds),
        )


def _retention(env: Environment) -> float | None:
    seconds = env.seconds("LEDGER_RETENTION", 0.0) or None
    if seconds is not None and seconds < _SHORTEST_RETENTION_SECONDS:
        # What comes again after its id was dropped would be booked again.
        raise SettingError("LEDGER_RETENTION must be 1d or more; leave it out to keep everything")
    return seconds
