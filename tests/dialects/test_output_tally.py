"""Counting the output of streams while it passes."""

import json

import pytest
from dialects.neutral_values import read_sizes, split, streams
from hypothesis import given, settings

from meshgate.dialects.meshgate_chat.tally import OutputTally as TypedTally
from meshgate.dialects.meshgate_chat.write_response import StreamWriter as TypedWriter
from meshgate.dialects.neutral import (
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
)
from meshgate.dialects.openai_chat import grammar
from meshgate.dialects.openai_chat.tally import OutputTally
from meshgate.dialects.openai_chat.write_response import StreamWriter
from meshgate.dialects.openai_choices.stream_tracker import StreamTracker

STARTED = Started(id="1", served_model="m")
DONE = b"data: [DONE]\n\n"


def tally(*chunks, kind=OutputTally, **options):
    counted = kind(answer_id="0", served_model="m0", created=5, **options)
    for piece in chunks:
        counted.take(piece)
    return counted


def chunk(delta, index=0, **members):
    choice = {"index": index, "delta": delta, "finish_reason": None}
    whole = {"id": "1", "model": "m", "created": 1, "choices": [choice]}
    return b"data: " + json.dumps(whole | members).encode() + b"\n\n"


def said(events):
    """The texts of a stream by kind, in the order in which they begin."""
    texts = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            piece = event.name + event.arguments_fragment
        else:
            piece = getattr(event, "text", "")
        texts[type(event)] = texts.get(type(event), "") + piece
    return sorted(text for text in texts.values() if text)


def size(texts):
    return sum(len(text.encode()) for text in texts)


@given(streams())
@settings(deadline=None)
def test_all_that_a_typed_stream_says_is_counted(events):
    writer = TypedWriter(created=1, include_usage=True)

    counted = tally(*(writer.write([event]) for event in events), kind=TypedTally)

    assert sorted(counted.texts()) == said(events)
    assert counted.text_bytes == counted.kept_bytes == size(said(events))


@given(streams(), read_sizes)
@settings(deadline=None)
def test_all_that_passes_through_is_counted_however_it_is_cut(events, sizes):
    written = StreamWriter(created=1, include_usage=True).write(events)
    tracker = StreamTracker(include_usage=False)
    passed = [tracker.feed(data) for data in split(sizes, written)]

    counted = tally(*(piece for piece in passed if piece))

    assert sorted(counted.texts()) == said(events)
    assert counted.text_bytes == counted.kept_bytes == size(said(events))
    assert counted.ended


@pytest.mark.parametrize(
    ("delta", "texts"),
    [
        ({"content": 'he said "content":"x" and "finish_reason":"stop"'}, None),
        ({"content": '"}}]}\n\ndata: [DONE]\n\n'}, None),
        ({"content": '\\" \\u0000 \u00e9 \U0001f600 \n'}, None),
        ({"content": "", "role": "assistant"}, []),
        ({"content": None}, []),
        ({"content": "a", "reasoning_content": "b", "refusal": "c"}, ["a", "b", "c"]),
        ({"reasoning": "b", "reasoning_content": "b"}, ["b"]),
        ({"reasoning": "b"}, ["b"]),
        ({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{"}}]}, ["f{"]),
        ({"tool_calls": [{"index": 0, "custom": {"name": "f", "input": "x"}}]}, ["fx"]),
        ({"function_call": {"name": "f", "arguments": "{}"}}, ["f{}"]),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, ["ab"]),
        ({"content": 7}, ["7"]),
        ("text", []),
        (None, []),
    ],
)
def test_a_delta_says_what_it_says_and_no_more(delta, texts):
    counted = tally(chunk(delta))

    assert counted.texts() == ([delta["content"]] if texts is None else texts)
    assert not counted.ended
    grammar.check(
        chunk({"role": "assistant"}, object="chat.completion.chunk")
        + counted.ending(FinishReason.LENGTH, None, include_usage=False)
    )


def test_choices_are_told_apart():
    chunks = [chunk({"content": text}, index) for text, index in [("a", 0), ("b", 1), ("c", 0)]]

    assert tally(*chunks).texts() == ["ac", "b"]


@pytest.mark.parametrize(
    "event",
    [
        b"data: {}\n\n",
        b"data: []\n\n",
        b"data: 7\n\n",
        b"data: {\n\n",
        b"data: \xff\n\n",
        b"data: {" + b'"a":[' * 100_000 + b"\n\n",
        b'data: {"choices":{"delta":{"content":"a"}}}\n\n',
        b'data: {"choices":[7,null],"usage":7,"id":7}\n\n',
        b'data: {"choices":[{"delta":{"content":"\\ud800"}}]}\n\n',
        b": comment\n\n",
        b"event: ping\ndata: {}\n\n",
        b"\n\n",
        b"",
    ],
)
def test_what_is_no_chunk_counts_nothing_and_breaks_nothing(event):
    counted = tally(chunk({"content": "a"}), event, chunk({"content": "b"}))

    assert counted.texts() == ["ab"]
    assert not counted.ended


def test_a_chunk_over_several_lines_is_a_chunk():
    lines = chunk({"content": "a"}).replace(b'"choices"', b'\ndata: "choices"')

    assert tally(b"event: chunk\n" + lines).texts() == ["a"]


def test_numbers_of_a_strange_kind_are_not_written_back():
    strange = b'data: {"id":3,"created":true,"choices":[{"index":true,"delta":{"content":[]}}]}\n\n'

    ending = tally(strange).ending(FinishReason.LENGTH, None, include_usage=False)

    assert json.loads(ending.split(b"\n")[0][6:]) == {
        "id": "0",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "m0",
        "choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}],
    }


@pytest.mark.parametrize("kind", [OutputTally, TypedTally])
def test_past_its_limit_a_tally_only_counts(kind):
    writer = (StreamWriter if kind is OutputTally else TypedWriter)(created=1, include_usage=True)
    events = [STARTED, TextDelta("\u00e9" * 40), ReasoningDelta("b" * 19), RefusalDelta("c" * 2)]
    chunks = [writer.write([event]) for event in [*events, TextDelta("d" * 900)]]

    counted = tally(*chunks, kind=kind, limit_bytes=100)

    assert counted.texts() == ["\u00e9" * 40, "b" * 19]
    assert counted.kept_bytes == 99
    assert counted.text_bytes == 1001
