"""What clients say about answers that are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.routing.cache_control import NOTHING_SAID, CacheControl


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ("", NOTHING_SAID),
        ("no-cache", CacheControl(wants_fresh=True)),
        ("No-Cache", CacheControl(wants_fresh=True)),
        ("no-store", CacheControl(forbids_keeping=True)),
        ("no-cache, no-store", CacheControl(wants_fresh=True, forbids_keeping=True)),
        ("max-age=60", CacheControl(max_age_seconds=60)),
        (' max-age = "60" ', CacheControl(max_age_seconds=60)),
        ("max-age=0", CacheControl(wants_fresh=True, max_age_seconds=0)),
        ("max-age=60, max-age=1", CacheControl(max_age_seconds=60)),
        ("max-age", NOTHING_SAID),
        ("max-age=-1", NOTHING_SAID),
        ("max-age=1.5", NOTHING_SAID),
        ("max-age=٣", NOTHING_SAID),
        ("only-if-cached, public, x=y", NOTHING_SAID),
    ],
)
def test_the_header_is_read_as_http_says(header, read):
    assert CacheControl.read(header) == read


@given(st.text())
def test_no_header_is_an_error(header):
    assert isinstance(CacheControl.read(header), CacheControl)
