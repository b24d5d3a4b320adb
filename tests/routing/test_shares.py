"""What the parts of an answer consumed adds up to what the whole did."""

from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects.neutral import Usage
from meshgate.routing.shares import Share, shares_of, total

counts = st.integers(0, 2**31 - 1)
usages = st.builds(
    Usage,
    input_tokens=counts,
    cached_input_tokens=counts,
    cache_creation_input_tokens=counts,
    output_tokens=counts,
    reasoning_tokens=counts,
)
wholes = st.builds(Share, st.none() | usages, st.none() | st.integers(0, 10**15))


@given(wholes, st.lists(st.integers(1, 10_000), min_size=1, max_size=20))
def test_the_shares_of_a_whole_are_the_whole(whole: Share, weights: list[int]):
    shares = shares_of(whole, weights)

    assert len(shares) == len(weights)
    assert total(shares) == whole


def test_what_is_not_known_of_one_is_not_known_of_all():
    known = Share(Usage(input_tokens=3), 5)

    assert total([known, Share(None, 1)]) == Share(None, 6)
    assert total([known, Share(Usage(input_tokens=1))]) == Share(Usage(input_tokens=4))
