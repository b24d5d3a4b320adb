from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quota.ledger.usage import MOMENT, adjusted, adjustment_id, charge, record, told

from meshgate.quota.ledger.entries import EntryKind
from meshgate.quota.ledger.intake import Told, entries_of
from meshgate.v1 import usage_record_pb2 as pb


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (b"settled", EntryKind.SETTLED),
        (b"late", EntryKind.LATE),
        (b"unheld", EntryKind.UNHELD),
    ],
)
def test_every_record_is_an_entry_named_by_its_hold(kind, expected):
    some = told(1, record("h1", charge()), record("h2"), kind=kind)

    one, two = entries_of(some)

    assert (one.entry_id, two.entry_id) == ("h1", "h2")
    assert one.kind is two.kind is expected
    assert pb.UsageRecord.FromString(one.content) == record("h1", charge())


def test_a_record_counts_in_the_windows_of_its_grant():
    (entry,) = entries_of(told(1, record("h"), grant_time=MOMENT - 5))

    assert entry.booked_time == (MOMENT - 5) * 1_000


@pytest.mark.parametrize("grant_time", [0, -1, 9 * 10**15, ""])
def test_where_no_moment_of_the_grant_is_told_the_moment_of_the_settlement_counts(grant_time):
    (entry,) = entries_of(told(1, record("h"), grant_time=grant_time))

    assert entry.booked_time == (MOMENT + 7) * 1_000


def test_a_record_without_a_name_is_named_by_its_place():
    (entry,) = entries_of(told(5, record(""), shard=9))

    assert entry.entry_id == f"unnamed/0/9/{MOMENT + 7}-5"


def test_an_adjustment_is_an_entry_named_by_what_was_adjusted_and_why():
    (entry,) = entries_of(adjusted(2, b"returned"))

    content = pb.Adjustment.FromString(entry.content)
    assert entry.entry_id == adjustment_id("returned", "grant", "settled/0")
    assert (content.kind, content.grant_id) == (pb.ADJUSTMENT_KIND_RETURNED, "grant")
    assert (content.partition, list(content.subjects)) == ("acme", ["key/k1", "organization/acme"])
    assert content.amounts.cost_nanos == 40
    assert content.booked_time.ToMilliseconds() == MOMENT


def test_an_adjustment_of_an_older_version_is_named_by_its_place():
    (entry,) = entries_of(adjusted(2, b"returned", cause=b""))

    assert entry.entry_id == f"returned/3/{MOMENT + 7}-2"


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {b"kind": b"of tomorrow"},
        {b"kind": b"settled"},
        {b"kind": b"settled", b"records": b""},
        {b"kind": b"settled", b"records": b"\xff\xff\xff"},
        {b"kind": b"abandoned", b"id": b"\xff"},
        adjusted(1).fields | {b"cost_nanos": b"much"},
        adjusted(1).fields | {b"cost_nanos": b"99999999999999999999"},
        adjusted(1).fields | {b"subjects": b"{"},
        told(1, record("h\x00")).fields,
        told(1, record("h" * 2_001)).fields,
        told(1, record("h", *[charge()] * 10_001)).fields,
    ],
)
def test_what_cannot_be_read_is_kept_as_it_came(broken):
    (entry,) = entries_of(Told(4, f"{MOMENT}-1", broken))

    fields = msgspec.msgpack.decode(entry.content)
    assert (entry.kind, entry.lines) == (EntryKind.UNREADABLE, ())
    assert entry.entry_id == f"unreadable/4/{MOMENT}-1"
    assert dict(zip(fields[::2], fields[1::2], strict=True)) == broken


@given(
    st.dictionaries(
        st.sampled_from([*adjusted(1).fields, b"records", b"other"]),
        st.binary(max_size=30) | st.sampled_from([b"settled", b"abandoned", b"1", b"[]"]),
    ),
    st.integers(0, 2**63),
)
def test_whatever_is_told_becomes_entries_of_a_year_that_a_calendar_has(fields, milliseconds):
    entries = entries_of(Told(4, f"{milliseconds}-1", fields))

    assert entries
    for entry in entries:
        assert datetime.fromtimestamp(entry.booked_time // 10**6, UTC).year >= 2000
