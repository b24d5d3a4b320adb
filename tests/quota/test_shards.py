from redis.crc import key_slot

from meshgate.quota.shards import SHARD_COUNT, shard_of, tag_of


def test_a_partition_keeps_its_shard_in_every_process_and_release():
    found = [shard_of(name) for name in ("default", "everyone", "model/gpt-4o", "Zürich")]

    assert found == [31, 20, 60, 62]


def test_partitions_are_spread_over_all_shards():
    counts = [0] * SHARD_COUNT
    for number in range(64_000):
        counts[shard_of(f"org-{number}")] += 1

    assert min(counts) > 800
    assert max(counts) < 1_200


def test_all_keys_of_a_shard_are_in_one_slot():
    assert tag_of(7) == "{q07}:"
    assert key_slot(b"{q07}:grants") == key_slot(f"{tag_of(7)}subject:key/k".encode())
