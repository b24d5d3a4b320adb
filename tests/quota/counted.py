"""Counters as the model sees them."""

from dataclasses import dataclass

from meshgate.limits.limit import Limit, WindowMode
from meshgate.quota.windows import bucket_width, calendar_bounds, identity

DAY_MS = 86_400_000

Key = tuple[str, str, str]


@dataclass(frozen=True)
class Counted:
    """What one counter counts: whose, what, and over which windows."""

    partition: str
    subject_name: str
    limit: Limit

    @property
    def key(self) -> Key:
        return self.partition, self.subject_name, identity(self.limit)

    def bucket(self, moment: int) -> int:
        """The beginning of the bucket of a moment."""
        limit = self.limit
        if limit.unit is None or limit.mode is None:
            return 0
        if limit.mode is WindowMode.CALENDAR:
            return calendar_bounds(limit.unit, limit.time_zone, moment).start
        width = bucket_width(limit.unit)
        return moment // width * width

    def leaves(self, bucket: int) -> int | None:
        """When a bucket counts no more; None for never."""
        limit = self.limit
        if limit.unit is None or limit.mode is None:
            return None
        if limit.mode is WindowMode.CALENDAR:
            return calendar_bounds(limit.unit, limit.time_zone, bucket).end
        return bucket + 11 * bucket_width(limit.unit)

    def ends(self, moment: int) -> int | None:
        """When the bucket of a moment ends."""
        limit = self.limit
        if limit.mode is WindowMode.ROLLING and limit.unit is not None:
            return self.bucket(moment) + bucket_width(limit.unit)
        return self.leaves(self.bucket(moment))

    def length(self, moment: int) -> int:
        """How long a window is; a second for concurrency, a day for what has no end."""
        limit = self.limit
        if limit.unit is None:
            return 1_000
        if limit.mode is None:
            return DAY_MS
        if limit.mode is WindowMode.ROLLING:
            return 10 * bucket_width(limit.unit)
        bounds = calendar_bounds(limit.unit, limit.time_zone, moment)
        return bounds.end - bounds.start
