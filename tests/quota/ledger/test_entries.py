import hashlib

from hypothesis import given
from hypothesis import strategies as st

from meshgate.quota.ledger.entries import CHAIN_START, chained, digest_of


def test_the_first_link_is_what_the_contract_says():
    digest = digest_of(b"content")

    link = chained(CHAIN_START, 1, digest)

    expected = hashlib.sha256(
        bytes(32) + b"\0\0\0\0\0\0\0\x01" + hashlib.sha256(b"content").digest()
    )
    assert link == expected.digest()


@given(
    st.lists(st.binary(max_size=8), min_size=1, max_size=8),
    st.integers(0, 7),
    st.binary(max_size=8),
)
def test_no_content_can_be_changed_without_changing_the_last_link(contents, place, other):
    place %= len(contents)
    changed = [*contents[:place], other, *contents[place + 1 :]]

    assert (last_link(contents) == last_link(changed)) == (contents == changed)


def test_the_order_of_entries_is_in_the_last_link():
    assert last_link([b"a", b"b"]) != last_link([b"b", b"a"])


def last_link(contents):
    link = CHAIN_START
    for number, content in enumerate(contents, 1):
        link = chained(link, number, digest_of(content))
    return link
