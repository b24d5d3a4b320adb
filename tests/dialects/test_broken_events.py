"""Events that are no chunks, in the middle of a stream that passes through."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects import sse
from meshgate.dialects.answers import CutStreamError, MalformedAnswerError
from meshgate.dialects.openai_choices.stream_tracker import StreamTracker

DONE = b"data: [DONE]\n\n"


def chunk(index=0, finish_reason=None, **delta):
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    whole = {"id": "1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(whole, separators=(",", ":")).encode() + b"\n\n"


ROLE = chunk(role="assistant")
WORD = chunk(content="hello")
STOP = chunk(finish_reason="stop")


def pass_on(*reads):
    """What the caller gets, and the error that ended it."""
    tracker = StreamTracker(include_usage=False)
    passed = []
    try:
        for data in reads:
            passed.append(tracker.feed(data))  # noqa: PERF401 - what came before an error counts
        passed.append(tracker.close())
    except (MalformedAnswerError, CutStreamError) as error:
        return b"".join(passed), error
    return b"".join(passed), tracker.error


BROKEN = {
    "open brace": b"data: {broken\n\n",
    "closed brace": b"data: {broken}\n\n",
    "named choices": b'data: {"choices" broken}\n\n',
    "half an event": WORD[: len(WORD) // 2] + b"\n\n",
    "a string without its end": WORD.replace(b'"logprobs"', b'"logprobs'),
    "no UTF-8": WORD.replace(b"hello", b"he\xffllo"),
    "a NUL": WORD.replace(b"hello", b"he\x00llo"),
    "choices that are no list": b'data: {"choices":3}\n\n',
    "choices that are null": b'data: {"choices":null}\n\n',
    "a choice that is no object": b'data: {"choices":[1]}\n\n',
    "two objects in one event": WORD.rstrip() + WORD[6:],
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("among", ["alone", "after a word", "before a word"])
def test_a_broken_event_ends_the_stream_and_never_looks_whole(broken, among):
    read = {"alone": broken, "after a word": WORD + broken, "before a word": broken + WORD}[among]

    passed, error = pass_on(ROLE, WORD, read, STOP + DONE)

    assert isinstance(error, MalformedAnswerError)
    assert passed == ROLE + WORD


@given(st.integers(6, len(WORD) - 3), st.integers(0, 255))
def test_whatever_byte_is_spoiled_only_json_is_passed_on(at, byte):
    spoiled = WORD[:at] + bytes([byte]) + WORD[at + 1 :]

    passed, error = pass_on(ROLE, spoiled, STOP + DONE)

    events = sse.EventReader().feed(passed)
    assert all(json.loads(event.data) for event in events if event.data != b"[DONE]")
    assert error is None or b"[DONE]" not in passed


@pytest.mark.parametrize(
    "second",
    [chunk(1, content="x"), chunk(1, role="assistant").replace(b'"index":', b'"index" :')],
    ids=["without a role", "oddly spaced"],
)
def test_a_choice_that_begins_late_must_end_too(second):
    _, error = pass_on(ROLE, second, STOP, DONE)

    assert isinstance(error, CutStreamError)


def test_words_that_are_not_ascii_are_passed_on_as_the_very_same_bytes():
    tracker = StreamTracker(include_usage=False)
    tracker.feed(ROLE)
    words = WORD.replace(b"hello", "né 日本".encode()) * 2

    assert tracker.feed(words) is words


def test_a_role_in_every_chunk_does_no_harm():
    word = chunk(role="assistant", content="hello")

    passed, error = pass_on(ROLE, word, word + word, STOP + DONE)

    assert error is None
    assert passed == ROLE + word * 3 + STOP + DONE
