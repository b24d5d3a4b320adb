"""Tool calls in streams that pass through: numbered so that OpenAI's SDK can put them together."""

import json

import pytest
from dialects.checking import openai_call, openai_chunk
from dialects.neutral_values import read_sizes, split
from hypothesis import given
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from meshgate.dialects import sse
from meshgate.dialects.openai_chat.passthrough import StreamTracker

OPENING = openai_chunk(role="assistant", content="")
END = openai_chunk(finish="tool_calls") + b"data: [DONE]\n\n"


def chunks_of(*calls):
    """One chunk for each fragment: (index or None, id, arguments)."""
    written = []
    for index, call_id, arguments in calls:
        call = openai_call(index, arguments, **({"id": call_id, "name": "f"} if call_id else {}))
        if index is None:
            del call["index"]
        written.append(openai_chunk(tool_calls=[call]))
    return b"".join(written)


def passed(stream, sizes=()):
    tracker = StreamTracker(include_usage=True)
    told = b"".join(tracker.feed(part) for part in split(sizes, stream))
    return told + tracker.close()


def put_together(stream):
    """What the SDK makes of it."""
    state = ChatCompletionStreamState()
    for event in sse.EventReader().feed(stream):
        if event.data != b"[DONE]":
            state.handle_chunk(ChatCompletionChunk.model_validate_json(event.data))
    calls = state.get_final_completion().choices[0].message.tool_calls
    return [(call.id, call.function.name, call.function.arguments) for call in calls]


@pytest.mark.parametrize(
    "calls",
    [
        [(None, "a", "x"), (None, None, "y"), (None, "b", "z")],
        [(1, "a", "x"), (1, None, "y"), (2, "b", "z")],
        [(0, "a", "x"), (0, None, "y"), (0, "b", "z")],
        [(0, "a", "x"), (0, "a", "y"), (1, "b", "z")],
    ],
)
@given(sizes=read_sizes)
def test_calls_are_put_together_whatever_the_upstream_says_of_their_index(calls, sizes):
    stream = OPENING + chunks_of(*calls) + END

    told = passed(stream, sizes)

    assert put_together(told) == [("a", "f", "xy"), ("b", "f", "z")]


def test_calls_that_are_numbered_well_keep_their_bytes():
    stream = OPENING + chunks_of((0, "a", "x"), (0, None, "y"), (1, "b", "z")) + END

    assert passed(stream) == stream


def test_what_is_put_right_keeps_everything_else():
    call = {"id": "a", "function": {"name": "f", "arguments": "\u00fc"}, "new": 1.0}
    chunk = {"id": "c", "choices": [{"delta": {"tool_calls": [call]}, "more": 2.5}], "model": "m"}
    event = b"data: " + json.dumps(chunk).encode() + b"\n\n"

    told = passed(event + END).split(b"\n\n")[0]

    assert told == (
        b'data: {"id":"c","choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":'
        b'{"name": "f", "arguments": "\\u00fc"},"new":1.0}]},"more":2.5}],"model":"m"}'
    )


def test_a_text_that_speaks_of_tool_calls_passes_at_once():
    stream = OPENING + openai_chunk(content='"tool_calls":[{}]') + END

    assert passed(stream) == stream


def test_calls_of_several_choices_are_numbered_each_by_itself():
    one = openai_chunk(0, tool_calls=[openai_call(0, "x", id="a", name="f")])
    other = openai_chunk(1, tool_calls=[openai_call(0, "y", id="b", name="f")])
    ends = openai_chunk(0, "tool_calls") + openai_chunk(1, "tool_calls") + b"data: [DONE]\n\n"

    assert passed(one + other + ends) == one + other + ends
