"""Recorded answers of all upstreams: what they say, however their bytes come, and where they end."""

import json

import pytest
from dialects.matrix import corpora
from dialects.matrix.corpora import Recording
from dialects.matrix.expectations import expected, said_by, said_in
from dialects.matrix.stream_run import check, check_for_callers, like, pass_on, run
from dialects.neutral_values import split
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects.answers import AnswerError, MalformedAnswerError
from meshgate.dialects.neutral import Finished
from meshgate.dialects.translation import UPSTREAM_DIALECTS

RECORDINGS = corpora.recordings()
READ = [recording for recording in RECORDINGS if recording.dialect in UPSTREAM_DIALECTS]
GOOD = [recording for recording in READ if expected(recording.dialect, recording.name)]
FAILED = [recording for recording in READ if recording.name.startswith("error")]
SPLIT = [recording for recording in GOOD if recording.framing.is_split_anywhere]
SSE = [recording for recording in GOOD if recording.framing.is_sse]
PASSED = [recording for recording in RECORDINGS if corpora.is_passed(recording.dialect)]
ANSWERS = [(dialect, name) for dialect in UPSTREAM_DIALECTS for name in corpora.answers(dialect)]
LARGE_MEGABYTES = 96


def reader_of(recording):
    return UPSTREAM_DIALECTS[recording.dialect].stream_reader()


def whole(recording):
    return read(recording, recording.frames)


def read(recording, reads):
    return like(run(reader_of(recording), reads), recording)


@pytest.mark.parametrize("dialect", UPSTREAM_DIALECTS)
def test_every_dialect_has_recordings(dialect):
    names = {recording.name for recording in RECORDINGS if recording.dialect == dialect}

    assert {"text", "length", "call", "parallel_calls", "usage"} <= names


@pytest.mark.parametrize(("dialect", "name"), ANSWERS)
def test_a_plain_answer_says_what_was_recorded(dialect, name):
    response = UPSTREAM_DIALECTS[dialect].read_response(corpora.answers(dialect)[name])

    assert said_by(response) == expected(dialect, name)


@pytest.mark.parametrize("recording", GOOD, ids=str)
def test_a_stream_says_what_was_recorded(recording):
    result = whole(recording)

    check(result)
    check_for_callers(result)
    assert result.done
    assert said_in(result.events) == expected(recording.dialect, recording.name)


@pytest.mark.parametrize("recording", GOOD, ids=str)
def test_thoughts_that_are_signed_say_by_whom(recording):
    signed = [event for event in whole(recording).events if getattr(event, "signature", b"")]

    assert all(event.origin in ("", recording.dialect) for event in signed)
    assert recording.dialect in ("openai_chat", "meshgate_chat") or all(
        event.origin for event in signed
    )


@pytest.mark.parametrize("recording", FAILED, ids=str)
def test_an_error_within_a_stream_is_an_error_to_every_caller(recording):
    result = whole(recording)

    check(result)
    check_for_callers(result)
    assert result.error is not None
    assert not isinstance(result.error, AnswerError)
    assert result.error.message


@pytest.mark.parametrize("recording", SPLIT, ids=str)
def test_bytes_that_come_one_by_one_say_the_same(recording):
    stream = recording.stream

    result = read(recording, (stream[at : at + 1] for at in range(len(stream))))

    assert result == whole(recording)


@given(st.data())
def test_reads_of_any_size_say_the_same(data):
    recording = data.draw(st.sampled_from(SPLIT))
    sizes = data.draw(st.lists(st.integers(0, 400), max_size=60))

    result = read(recording, split(sizes, recording.stream))

    assert result == whole(recording)


@pytest.mark.parametrize("recording", GOOD, ids=str)
def test_a_stream_that_is_cut_at_an_event_never_looks_whole(recording):
    complete = whole(recording)

    for count in range(len(recording.frames)):
        cut = read(recording, recording.frames[:count])

        check(cut)
        check_for_callers(cut)
        assert_not_whole_or_nothing_missing(cut, complete)


@given(st.data())
def test_a_stream_that_is_cut_within_an_event_never_looks_whole(data):
    recording = data.draw(st.sampled_from(SPLIT))
    length = data.draw(st.integers(0, len(recording.stream) - 1))

    cut = read(recording, [recording.stream[:length]])

    check(cut)
    check_for_callers(cut)
    assert_not_whole_or_nothing_missing(cut, whole(recording))


@given(st.data())
def test_a_passed_stream_that_is_cut_never_looks_whole(data):
    recording = data.draw(st.sampled_from(PASSED))
    if recording.framing.is_split_anywhere:
        length = data.draw(st.integers(0, len(recording.stream) - 1))
        reads = [recording.stream[:length]]
    else:
        reads = recording.frames[: data.draw(st.integers(0, len(recording.frames) - 1))]

    cut = pass_on(recording, reads)

    assert cut.done == (cut.error is None)
    assert cut.done or pass_on(recording, recording.frames).body.startswith(cut.body)
    assert not cut.done or expected(recording.dialect, recording.name)


@pytest.mark.parametrize("recording", PASSED, ids=str)
def test_a_passed_stream_ends_as_the_upstreams_does(recording):
    whole_stream = pass_on(recording, recording.frames)

    assert whole_stream.done == bool(expected(recording.dialect, recording.name))
    assert whole_stream.done == (whole_stream.error is None)


FRAMINGS = {
    "CRLF": lambda frame: frame.replace(b"\n", b"\r\n"),
    "CR": lambda frame: frame.replace(b"\n", b"\r"),
    "no space": lambda frame: frame.replace(b"data: ", b"data:", 1),
    "comments": lambda frame: b": still here\n\n" + frame + b":\n\n",
    "ids": lambda frame: b"id: 7\nretry: 10\n" + frame,
    "other fields": lambda frame: b"tomorrow: x\n" + frame,
    "empty events": lambda frame: b"\n\n" + frame + b"\n\n",
}


@pytest.mark.parametrize("framed", FRAMINGS.values(), ids=FRAMINGS.keys())
@pytest.mark.parametrize("recording", SSE, ids=str)
def test_how_events_are_framed_changes_nothing(recording, framed):
    frames = [framed(frame.replace(b"\r\n", b"\n")) for frame in recording.frames]

    result = read(recording, frames)

    assert result == whole(recording)


@pytest.mark.parametrize("recording", SSE, ids=str)
def test_a_byte_order_mark_changes_nothing(recording):
    result = read(recording, [b"\xef\xbb\xbf" + recording.stream])

    assert result == whole(recording)


@pytest.mark.parametrize("recording", SSE, ids=str)
def test_data_on_several_lines_say_the_same(recording):
    frames = [spread(recording, at) for at in range(len(recording.frames))]

    result = read(recording, frames)

    assert said_in(result.events) == said_in(whole(recording).events)


@pytest.mark.parametrize("dialect", sorted({recording.dialect for recording in SSE}))
def test_an_event_without_an_end_is_given_up(dialect):
    megabytes = (b"x" * 1024 * 1024 for _ in range(LARGE_MEGABYTES))

    result = run(UPSTREAM_DIALECTS[dialect].stream_reader(), megabytes)

    assert isinstance(result.error, MalformedAnswerError)
    assert next(megabytes, None) is not None


def assert_not_whole_or_nothing_missing(cut, complete):
    """What comes after the end of an answer, such as the usage, may be missing."""
    if cut.done:
        assert said(cut) == said(complete)


def said(result):
    return [event for event in result.events if not isinstance(event, Finished)]


def spread(recording: Recording, at: int) -> bytes:
    event = corpora.parsed(recording, at)
    if event is None:
        return recording.frames[at]
    lines = json.dumps(event, indent=1).encode().split(b"\n")
    return recording.framing.with_payload(recording.frames[at], b"\ndata: ".join(lines))
