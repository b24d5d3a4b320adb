"""The header traceparent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.runtime.trace_context import TraceParent, is_trace_context, is_unsampled

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@given(
    st.integers(1, (1 << 128) - 1),
    st.integers(1, (1 << 64) - 1),
    st.booleans(),
)
def test_what_is_written_is_read(trace_id: int, span_id: int, is_sampled: bool) -> None:
    parent = TraceParent(trace_id, span_id, is_sampled)

    assert TraceParent.parse(str(parent)) == parent
    assert is_unsampled(str(parent)) != is_sampled


@pytest.mark.parametrize(("flags", "is_sampled"), [("00", False), ("01", True), ("03", True)])
def test_only_the_first_flag_says_whether_it_is_sampled(flags: str, is_sampled: bool) -> None:
    parent = TraceParent.parse(f"00-{TRACE}-{SPAN}-{flags}")

    assert parent == TraceParent(int(TRACE, 16), int(SPAN, 16), is_sampled)


def test_a_later_version_may_say_more() -> None:
    assert is_trace_context(f"01-{TRACE}-{SPAN}-01-more")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01\r\nx-injected: 1",
        f"00-{TRACE}-{SPAN}-01\n",
        f" 00-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_none_is_no_trace_context(text: str) -> None:
    assert not is_trace_context(text)


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    parent = TraceParent.parse(text)

    assert parent is None or parent.trace_id
