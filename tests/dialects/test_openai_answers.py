import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshgate.dialects.answers import AnswerGlance, CutStreamError, MalformedAnswerError
from meshgate.dialects.neutral import (
    ChatResponse,
    Finished,
    FinishReason,
    Image,
    Message,
    ReasoningDelta,
    Role,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from meshgate.dialects.openai_chat.passthrough import glance
from meshgate.dialects.openai_chat.read_response import StreamReader, read
from meshgate.dialects.openai_chat.write_response import write
from meshgate.runtime.errors import UnsupportedError

TOKENS = {
    "prompt_tokens": 20,
    "completion_tokens": 10,
    "total_tokens": 30,
    "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 4},
}


def completion(message=None, finish_reason="stop", **members):
    choice = {"index": 0, "message": message or {"role": "assistant", "content": "Hi"}}
    whole = {"id": "1", "model": "m", "choices": [choice | {"finish_reason": finish_reason}]}
    return json.dumps(whole | members).encode()


def test_a_glance_finds_model_usage_and_reason():
    seen = glance(completion(usage=TOKENS, finish_reason="length"))

    assert seen == AnswerGlance(
        "m",
        Usage(input_tokens=20, cached_input_tokens=5, output_tokens=10, reasoning_tokens=4),
        FinishReason.LENGTH,
    )


MALFORMED = [
    b"",
    b"<html>Bad gateway</html>",
    b"[]",
    b"null",
    b'{"error":{"message":"no"}}',
    b'{"choices":[]}',
    b'{"choices":null}',
    b'{"choices":[{}]}',
    b'{"choices":[{"message":"Hi"}]}',
    completion()[:-1],
    completion(model=7),
    b'{"choices":' + b"[" * 100_000,
]


@pytest.mark.parametrize("body", MALFORMED)
@pytest.mark.parametrize("job", [read, glance])
def test_what_is_no_chat_completion_is_malformed(job, body):
    with pytest.raises(MalformedAnswerError):
        job(body)


def test_a_passed_answer_must_be_utf_8():
    with pytest.raises(MalformedAnswerError):
        glance(completion().replace(b"Hi", b"\xff"))


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        "many",
        {"prompt_tokens": -1},
        {"prompt_tokens": 10**12},
        {"prompt_tokens": "5"},
    ],
)
def test_a_count_that_makes_no_sense_is_no_count(usage):
    assert glance(completion(usage=usage)).usage is None
    assert read(completion(usage=usage)).usage is None


def test_reasoning_that_stands_beside_the_output_is_counted_in():
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 22,
        "completion_tokens_details": {"reasoning_tokens": 7},
    }

    seen = glance(completion(usage=usage))

    assert seen.usage == Usage(input_tokens=10, output_tokens=12, reasoning_tokens=7)


def test_a_finish_reason_of_an_upstreams_own_is_unspecified():
    assert glance(completion(finish_reason="eos")).finish_reason is FinishReason.UNSPECIFIED
    assert glance(completion(finish_reason=None)).finish_reason is FinishReason.UNSPECIFIED


def test_tool_calls_without_ids_are_given_some():
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}

    response = read(completion({"content": "", "tool_calls": [call, call]}, "tool_calls"))

    assert response.message.parts == (
        ToolCall(id="call_0", name="f", arguments_json="{}"),
        ToolCall(id="call_1", name="f", arguments_json="{}"),
    )


def test_a_picture_in_an_answer_is_refused_by_name():
    message = Message(role=Role.ASSISTANT, parts=(Text("a"), Image(uri="x")))

    with pytest.raises(UnsupportedError) as caught:
        write(ChatResponse(id="1", served_model="m", message=message), created=1)

    assert caught.value.field == "message.parts[1]"


def event(delta=None, finish_reason=None, **members):
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish_reason}
    whole = {"id": "1", "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(whole | members).encode() + b"\n\n"


STOP = event(finish_reason="stop")
DONE = b"data: [DONE]\n\n"
STARTED = Started(id="1", served_model="m")
FINISHED = Finished(reason=FinishReason.STOP)


def read_stream(*reads):
    reader = StreamReader()
    events = [found for data in reads for found in reader.feed(data)]
    return events + reader.close()


def fragment(index=None, call_id=None, name=None, arguments=None):
    whole = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {"tool_calls": [{key: value for key, value in whole.items() if value is not None}]}


FIRST = ToolCallDelta(index=0, id="a", name="f", arguments_fragment="")
SECOND = ToolCallDelta(index=1, id="b", name="g", arguments_fragment="")


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        (
            [fragment(0, "a", "f", ""), fragment(0, None, None, "x"), fragment(1, "b", "g", "")],
            [FIRST, ToolCallDelta(index=0, arguments_fragment="x"), SECOND],
        ),
        (
            [fragment(0, "a", "f", ""), fragment(0, "a", "f", "x")],
            [FIRST, ToolCallDelta(index=0, arguments_fragment="x")],
        ),
        ([fragment(1, "a", "f"), fragment(2, "b", "g")], [FIRST, SECOND]),
        ([fragment(0, "a", "f"), fragment(0, "b", "g")], [FIRST, SECOND]),
        ([fragment(None, "a", "f"), fragment(None, "b", "g")], [FIRST, SECOND]),
        (
            [fragment(None, "a", "f"), fragment(None, None, None, "x")],
            [FIRST, ToolCallDelta(index=0, arguments_fragment="x")],
        ),
        ([fragment(0, None, "f")], [ToolCallDelta(index=0, id="call_0", name="f")]),
        ([fragment(0, "a", "f"), fragment(0, None, None, "")], [FIRST]),
    ],
)
def test_tool_calls_are_numbered_and_named_once_whatever_the_upstream_does(deltas, expected):
    events = read_stream(*map(event, deltas), STOP, DONE)

    finished = Finished(reason=FinishReason.TOOL_CALLS)  # though the upstream says `stop`
    assert events == [STARTED, *expected, finished]


def test_a_tool_call_without_a_name_is_malformed():
    with pytest.raises(MalformedAnswerError):
        StreamReader().feed(event(fragment(0, "a", None, "{")))


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_are_read_under_both_their_names(field):
    events = read_stream(event({field: "hm", "content": "Hi"}), STOP, DONE)

    assert events == [STARTED, ReasoningDelta("hm"), TextDelta("Hi"), FINISHED]


def test_usage_in_a_chunk_of_its_own_goes_into_the_end():
    events = read_stream(event({"content": "Hi"}), STOP, event(choices=[], usage=TOKENS), DONE)

    assert events[-1].usage == Usage(
        input_tokens=20, cached_input_tokens=5, output_tokens=10, reasoning_tokens=4
    )


@pytest.mark.parametrize("end", [DONE, b"data: [DONE]", b""])
def test_a_forgotten_done_is_no_cut(end):
    events = read_stream(event({"content": "Hi"}), STOP, end)

    assert events == [STARTED, TextDelta("Hi"), FINISHED]


@pytest.mark.parametrize(
    "reads",
    [
        [],
        [DONE],
        [event({"content": "Hi"})],
        [event({"content": "Hi"}), DONE],
        [event({"content": "Hi"}), STOP[:-40]],
        [b"<html>"],
    ],
)
def test_a_stream_without_a_finish_is_cut(reads):
    with pytest.raises(CutStreamError):
        read_stream(*reads)


@pytest.mark.parametrize(
    "data",
    [b"data: <html>\n\n", b"data: {}\n\n", b"data: 7\n\n", b"data: " + b"[" * 9999 + b"\n\n"],
)
def test_an_event_that_is_no_chunk_is_malformed(data):
    with pytest.raises(MalformedAnswerError):
        StreamReader().feed(data)


@given(st.binary(max_size=80))
@settings(deadline=None)
def test_no_bytes_break_the_reader(data):
    with suppress(MalformedAnswerError, CutStreamError):
        read_stream(b"data: " + data + b"\n\n")
