"""Streamed responses of upstreams that say what they should not: nothing but the known errors comes of it."""

import json
from contextlib import suppress

from dialects.responses_values import CALLS, THINKING, upstream_stream
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshgate.dialects import grammar as neutral_grammar
from meshgate.dialects.answers import AnswerError
from meshgate.dialects.openai_responses import grammar
from meshgate.dialects.openai_responses.inspected_stream import InspectedStream
from meshgate.dialects.openai_responses.read_response import StreamReader
from meshgate.dialects.openai_responses.stream_tracker import StreamTracker
from meshgate.dialects.openai_responses.tally import OutputTally
from meshgate.dialects.openai_responses.write_response import StreamWriter

STREAMS = [upstream_stream(), upstream_stream(CALLS, **THINKING)]
STRANGE = st.sampled_from([None, True, -1, 7.5, "", "x", [], [3], {}, {"type": 3}, 2**70])


def places_in(value, path=()):
    """Where all values stand."""
    yield path
    inner = []
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for name, member in inner:
        yield from places_in(member, (*path, name))


def changed(value, path, new):
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], new)
    return copy


@st.composite
def spoilt(draw):
    """A stream of which one event is changed in one value, repeated, left out or moved."""
    stream = list(draw(st.sampled_from(STREAMS)))
    at = draw(st.integers(0, len(stream) - 1))
    what = draw(st.sampled_from(["change", "repeat", "leave out", "move"]))
    if what == "repeat":
        stream.insert(draw(st.integers(at, len(stream))), stream[at])
    elif what == "leave out":
        del stream[at]
    elif what == "move":
        stream.insert(draw(st.integers(0, len(stream) - 1)), stream.pop(at))
    else:
        name, _, data = stream[at].partition(b"\ndata: ")
        content = json.loads(data)
        place = draw(st.sampled_from(list(places_in(content))))
        content = changed(content, place, draw(STRANGE))
        stream[at] = name + b"\ndata: " + json.dumps(content).encode() + b"\n\n"
    return stream


def of_another_type():
    return [
        piece.replace(b'"type":"function_call"', b'"type":"other"') if b".added" in piece else piece
        for piece in STREAMS[1]
    ]


@given(spoilt())
@example(of_another_type())
@settings(deadline=None, max_examples=200)
def test_what_is_read_obeys_the_neutral_grammar_and_is_written_by_that_of_the_api(stream):
    reader, writer, events = StreamReader(), StreamWriter(created=7, include_usage=True), []
    written = b""

    with suppress(AnswerError):
        for piece in stream:
            read = reader.feed(piece)
            events += read
            written += writer.write(read)
        reader.close()

    checked = neutral_grammar.EventGrammar()
    for event in events:
        checked.check(event)
    if reader.done:
        neutral_grammar.check(events)
        grammar.check(written)


@given(spoilt())
@settings(deadline=None, max_examples=100)
def test_what_passes_through_is_told_to_the_end_or_not_at_all(stream):
    tracker, passed = StreamTracker(), b""

    with suppress(AnswerError):
        for piece in stream:
            passed += tracker.feed(piece)
        passed += tracker.close()

    assert tracker.done == (b"event: response.completed" in passed)


@given(spoilt())
@settings(deadline=None, max_examples=100)
def test_what_is_looked_at_and_counted_raises_nothing_unknown(stream):
    inspected, counted = InspectedStream(), OutputTally(answer_id="", served_model="", created=0)

    with suppress(AnswerError):
        for piece in stream:
            for event in inspected.take(piece):
                counted.take(event.written([each.text for each in event.pieces]))

    assert isinstance(counted.texts(), list)
