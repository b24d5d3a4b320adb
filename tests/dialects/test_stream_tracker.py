import json

import pytest
from dialects.neutral_values import read_sizes, split, streams
from hypothesis import given, settings

from meshgate.dialects.answers import CutStreamError, MalformedAnswerError
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_chat import grammar
from meshgate.dialects.openai_chat.write_response import StreamWriter
from meshgate.dialects.openai_choices.stream_tracker import StreamTracker


def chunk(delta=None, finish_reason=None, index=0, separators=(",", ":"), **members):
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish_reason}
    whole = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }
    return b"data: " + json.dumps(whole | members, separators=separators).encode() + b"\n\n"


ROLE = chunk({"role": "assistant", "content": ""})
WORD = chunk({"content": "a"})
STOP = chunk(finish_reason="stop")
USAGE = chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7})
DONE = b"data: [DONE]\n\n"


def follow(*reads, include_usage=False):
    tracker = StreamTracker(include_usage=include_usage)
    passed = b"".join(tracker.feed(data) for data in reads)
    return tracker, passed + tracker.close()


@given(streams(), read_sizes)
@settings(deadline=None)
def test_every_stream_passes_untouched_however_it_is_cut(events, sizes):
    written = StreamWriter(created=1, include_usage=True).write(events)

    tracker, passed = follow(*split(sizes, written), include_usage=True)

    assert passed == written
    assert tracker.done
    assert tracker.served_model == events[0].served_model
    assert (tracker.finish_reason, tracker.usage) == (events[-1].reason, events[-1].usage)


@given(streams(), read_sizes)
@settings(deadline=None)
def test_usage_that_nobody_asked_for_is_noted_and_kept_back(events, sizes):
    written = StreamWriter(created=1, include_usage=True).write(events)

    tracker, passed = follow(*split(sizes, written))

    assert passed == StreamWriter(created=1, include_usage=False).write(events)
    assert tracker.usage == events[-1].usage
    grammar.check(passed)


@given(streams(), read_sizes)
@settings(deadline=None)
def test_a_stream_that_is_cut_off_never_looks_whole(events, sizes):
    written = StreamWriter(created=1, include_usage=True).write(events[:-1])

    with pytest.raises(CutStreamError):
        follow(*split(sizes, written))


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_what_matters_is_found_however_the_json_is_spaced(separators):
    stop = chunk(finish_reason="length", separators=separators)
    usage = chunk(choices=[], usage={"prompt_tokens": 3}, separators=separators)

    tracker, passed = follow(ROLE, WORD, stop, usage, DONE)

    assert tracker.finish_reason is FinishReason.LENGTH
    assert tracker.usage == Usage(input_tokens=3)
    assert passed == ROLE + WORD + stop + DONE


def test_several_events_of_one_read_are_looked_at_one_by_one():
    tracker, passed = follow(ROLE + WORD, WORD + STOP + USAGE + DONE)

    assert passed == ROLE + WORD + WORD + STOP + DONE
    assert tracker.usage == Usage(input_tokens=3, output_tokens=4)


def test_an_ordinary_read_is_passed_on_as_the_very_same_bytes():
    tracker = StreamTracker(include_usage=False)
    tracker.feed(ROLE)
    words = WORD * 3

    assert tracker.feed(words) is words


def test_text_that_looks_like_json_is_not_taken_for_it():
    trap = chunk({"content": '"finish_reason":"stop","usage":{"prompt_tokens":9},"error":1'})

    tracker = StreamTracker(include_usage=False)
    passed = tracker.feed(ROLE) + tracker.feed(trap)

    assert passed == ROLE + trap
    assert (tracker.finish_reason, tracker.usage, tracker.error) == (
        FinishReason.UNSPECIFIED,
        None,
        None,
    )


def test_usage_in_the_last_chunk_of_text_is_noted_and_passed_on():
    last = chunk(finish_reason="stop", usage={"prompt_tokens": 3})

    tracker, passed = follow(ROLE, last, DONE)

    assert passed == ROLE + last + DONE
    assert tracker.usage == Usage(input_tokens=3)


def test_a_chunk_without_choices_and_usage_is_passed_on():
    filters = chunk(choices=[], prompt_filter_results=[{}])

    _, passed = follow(filters, ROLE, STOP, DONE)

    assert passed == filters + ROLE + STOP + DONE


def test_comments_and_foreign_line_ends_are_dropped():
    _, passed = follow(b": hello\n\n" + ROLE.replace(b"\n", b"\r\n"), b":\n\n", STOP + b"\n" + DONE)

    assert passed == ROLE + STOP + DONE


def test_a_partial_event_is_kept_back():
    tracker = StreamTracker(include_usage=False)
    tracker.feed(ROLE)

    assert tracker.feed(WORD[:20]) == b""
    assert tracker.feed(WORD[20:] + WORD[:-1]) == WORD
    assert tracker.feed(b"\n") == WORD


@pytest.mark.parametrize("end", [b"", b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n\r"])
def test_a_done_that_the_upstream_forgot_is_added(end):
    tracker, passed = follow(ROLE, STOP, end)

    assert passed == ROLE + STOP + DONE
    assert tracker.done


def test_a_last_chunk_without_its_blank_line_is_not_lost():
    _, passed = follow(ROLE, STOP.rstrip())

    assert passed == ROLE + STOP + DONE


@pytest.mark.parametrize(
    "reads",
    [
        [],
        [DONE],
        [ROLE, WORD],
        [ROLE, WORD, DONE],
        [ROLE, WORD, STOP[:-30]],
        [ROLE, chunk({"role": "assistant"}, index=1), STOP],
        [ROLE, chunk({"role": "assistant"}, index=1), STOP, DONE],
        [b"<html>Bad gateway</html>"],
    ],
)
def test_a_stream_in_which_not_all_choices_finish_is_cut(reads):
    with pytest.raises(CutStreamError):
        follow(*reads)


def test_choices_may_come_one_after_the_other():
    second = chunk({"role": "assistant"}, index=1)
    tracker = StreamTracker(include_usage=False)
    for data in (ROLE, STOP, second):
        tracker.feed(data)

    with pytest.raises(CutStreamError):
        tracker.close()


@pytest.mark.parametrize(
    "error",
    [
        b'data: {"error":{"message":"overloaded","type":"server_error","code":null}}\n\n',
        b'event: error\ndata: {"message":"overloaded","type":"server_error"}\n\n',
        b'data: {"error": {"message": "overloaded", "type": "server_error"}, "choices": []}\n\n',
    ],
)
def test_an_error_event_is_noted_and_not_passed_on(error):
    tracker = StreamTracker(include_usage=False)

    passed = tracker.feed(ROLE) + tracker.feed(WORD + error + WORD) + tracker.feed(STOP + DONE)

    assert passed + tracker.close() == ROLE + WORD
    assert tracker.error is not None
    assert (tracker.error.message, tracker.error.type) == ("overloaded", "server_error")


def test_what_follows_the_end_is_ignored():
    _, passed = follow(ROLE, STOP, DONE + WORD, WORD)

    assert passed == ROLE + STOP + DONE


@pytest.mark.parametrize("data", [b"data: <html>\n\n", b"data: {}\n\n", b"data: []\n\n"])
def test_an_event_that_is_no_chunk_is_malformed(data):
    tracker = StreamTracker(include_usage=False)
    tracker.feed(ROLE)

    with pytest.raises(MalformedAnswerError):
        tracker.feed(data)
