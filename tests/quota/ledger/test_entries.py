import hashlib

from hypothesis import given
from hypothesis import strategies as st

from meshgate.quota.ledger.entries import CHAIN_START, EntryKind, Sealed, chained, digest_of

SEALED = st.builds(
    Sealed,
    st.sampled_from(EntryKind).map(int),
    st.integers(0, 2**62),
    st.text(max_size=4),
    st.binary(max_size=8).map(digest_of),
)


def test_the_first_link_is_what_the_contract_says():
    sealed = Sealed(EntryKind.LATE, 258, "h1", digest_of(b"content"))

    link = chained(CHAIN_START, 1, sealed)

    expected = hashlib.sha256(
        bytes(32)
        + b"\0\0\0\0\0\0\0\x01"
        + b"\0\x02"
        + b"\0\0\0\0\0\0\x01\x02"
        + hashlib.sha256(b"content").digest()
        + b"h1"
    )
    assert link == expected.digest()


@given(st.lists(SEALED, min_size=1, max_size=8), st.integers(0, 7), SEALED)
def test_no_entry_can_be_changed_without_changing_the_last_link(entries, place, other):
    place %= len(entries)
    changed = [*entries[:place], other, *entries[place + 1 :]]

    assert (last_link(entries) == last_link(changed)) == (entries == changed)


def test_the_order_of_entries_is_in_the_last_link():
    one, other = (Sealed(1, 0, name, digest_of(b"")) for name in "ab")

    assert last_link([one, other]) != last_link([other, one])


def last_link(entries):
    link = CHAIN_START
    for number, sealed in enumerate(entries, 1):
        link = chained(link, number, sealed)
    return link
