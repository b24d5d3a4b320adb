import pytest
from dialects.neutral_values import read_sizes, split
from hypothesis import given, settings
from hypothesis import strategies as st

from meshgate.dialects import sse
from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.sse import Event, EventReader


def read_all(*reads):
    reader = EventReader()
    events = [event for data in reads for event in reader.feed(data)]
    return events + reader.close()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", [Event(b"a")]),
        (b"data: a\n\ndata: b\n\n", [Event(b"a"), Event(b"b")]),
        (b"data:a\n\n", [Event(b"a")]),
        (b"data:  a\n\n", [Event(b" a")]),
        (b"data\n\n", [Event(b"")]),
        (b"data: a\ndata: b\n\n", [Event(b"a\nb")]),
        (b"event: error\ndata: a\n\n", [Event(b"a", b"error")]),
        (b"id: 7\nretry: 10\nother: x\ndata: a\n\n", [Event(b"a")]),
        (b": keep-alive\n\ndata: a\n\n", [Event(b"a")]),
        (b": one\n: two\ndata: a\n\n", [Event(b"a")]),
        (b"event: ping\n\ndata: a\n\n", [Event(b"a")]),
        (b"\n\n\n\ndata: a\n\n\n\n\n", [Event(b"a")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [Event(b"a"), Event(b"b")]),
        (b"data: a\r\rdata: b\r\r", [Event(b"a"), Event(b"b")]),
        (b"data: a\r\n\ndata: b\n\r\n", [Event(b"a"), Event(b"b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event(b"a")]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [Event(b"a")]),
        (b"data: without an end", [Event(b"without an end")]),
        (b"", []),
    ],
)
def test_events_are_read_as_the_standard_says(stream, expected):
    events = read_all(stream)

    assert events == expected


@given(
    st.lists(
        st.sampled_from(
            [
                *(b"data: a", b"data:b", b":c", b"event: e", b"id: 1", b"x", b"\xef\xbb\xbf"),
                *(b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n"),
            ]
        )
    ),
    read_sizes.map(lambda sizes: [size % 5 for size in sizes]),
)
def test_how_the_reads_are_cut_changes_nothing(pieces, sizes):
    stream = b"".join(pieces)

    events = read_all(*split(sizes, stream))

    assert events == read_all(*(stream[at : at + 1] for at in range(len(stream))))
    assert events == read_all(stream)


def test_an_event_is_given_out_as_soon_as_it_is_whole():
    reader = EventReader()

    first = reader.feed(b"data: a\r\n\r")
    second = reader.feed(b"\ndata: b\n")
    third = reader.feed(b"\n")

    assert (first, second, third) == ([Event(b"a")], [], [Event(b"b")])
    assert not reader.pending


@pytest.mark.parametrize("read_bytes", [1, 7, 200])
def test_an_event_without_bounds_is_refused(read_bytes):
    reader = EventReader(limit_bytes=100)
    for _ in range(100 // read_bytes):
        reader.feed(b"x" * read_bytes)

    with pytest.raises(MalformedAnswerError):
        reader.feed(b"x" * read_bytes)


def test_a_large_event_within_one_read_is_refused():
    reader = EventReader(limit_bytes=100)

    with pytest.raises(MalformedAnswerError):
        reader.feed(b"data: " + b"x" * 100 + b"\n\n")


def test_many_small_events_pass_a_small_limit():
    reader = EventReader(limit_bytes=10)

    events = reader.feed(b"data: a\n\n" * 1000)

    assert len(events) == 1000


@given(st.text(alphabet="ab\n", max_size=9).map(str.encode), st.sampled_from([b"", b"name"]))
@settings(deadline=None)
def test_what_is_written_reads_the_same(data, name):
    event = Event(data, name)

    events = read_all(sse.write(event))

    assert events == [event]
