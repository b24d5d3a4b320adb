"""Where the counters of a partition lie: one of 64 fixed shards."""

import zlib

SHARD_COUNT = 64
"""Never to be changed: what is stored would not be found any more."""


def shard_of(partition: str) -> int:
    """The shard of a partition, the same in every process and every release."""
    return zlib.crc32(partition.encode()) % SHARD_COUNT


def tag_of(shard: int) -> str:
    """What all keys of a shard begin with: by it they share a slot of a Redis Cluster."""
    return f"{{q{shard:02d}}}:"
