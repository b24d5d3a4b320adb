"""Lists of models, page by page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.routing.model_pages import LARGEST_PAGE_SIZE, USUAL_PAGE_SIZE, page
from meshgate.runtime.errors import InvalidRequestError

names = st.sets(st.text(min_size=1, max_size=8), max_size=12)


def pages(of, size):
    """All pages, one after the other."""
    token = ""
    while True:
        found = page(of, size, token)
        yield found.names
        token = found.next_token
        if not token:
            return


@given(names, st.integers(1, 5))
def test_all_pages_together_hold_each_model_once_in_order(of, size):
    found = list(pages(of, size))

    assert [name for names in found for name in names] == sorted(of)
    assert all(len(names) == size for names in found[:-1])
    assert len(found[-1]) <= size


def test_a_model_that_goes_hides_no_other():
    first = page(["a", "b", "c"], 2, "")

    assert page(["a", "c"], 2, first.next_token).names == ("c",)


@pytest.mark.parametrize(("size", "count"), [(0, USUAL_PAGE_SIZE), (5_000, LARGEST_PAGE_SIZE)])
def test_a_page_has_its_bound(size, count):
    assert len(page(map(str, range(2_000)), size, "").names) == count


@pytest.mark.parametrize(
    ("size", "token", "field"),
    [(-1, "", "page_size"), (1, "!", "page_token"), (1, "é", "page_token"), (1, "_w", "page_token"),
     (1, "YQ==", "page_token")],
)  # fmt: skip
def test_what_was_not_given_out_is_refused(size, token, field):
    with pytest.raises(InvalidRequestError) as caught:
        page(["a"], size, token)

    assert caught.value.field == field
