"""Upstreams forget to name calls, or name two alike: a caller tells them apart by their ids."""

import json

import pytest
from upstream.event_stream import event

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.call_names import CallNames
from meshgate.dialects.grammar import check
from meshgate.dialects.neutral import ToolCall, ToolCallDelta
from meshgate.dialects.translation import UPSTREAM_DIALECTS


def sse(*events):
    return b"".join(b"data: " + json.dumps(it).encode() + b"\n\n" for it in events)


def named_sse(*events):
    return b"".join(b"event: %s\n" % it["type"].encode() + sse(it) for it in events)


def given(**members):
    return {name: value for name, value in members.items() if value is not None}


def openai_chat(*calls):
    told = [
        given(id=call_id, type="function", function={"name": name, "arguments": "{}"})
        for call_id, name in calls
    ]
    plain = {"choices": [{"message": {"tool_calls": told}, "finish_reason": "tool_calls"}]}
    deltas = [{"tool_calls": [{"index": at, **call}]} for at, call in enumerate(told)]
    chunks = [{"choices": [{"delta": delta}]} for delta in deltas]
    return plain, sse(*chunks, {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})


def openai_responses(*calls):
    items = [
        given(id=f"fc_{at}", type="function_call", call_id=call_id, name=name, arguments="{}")
        for at, (call_id, name) in enumerate(calls)
    ]
    for item in items:
        if "call_id" not in item:
            del item["id"]
    plain = {"status": "completed", "output": items}
    begun = [
        {"type": f"response.output_item.{what}", "output_index": at, "item": item}
        for at, item in enumerate(items)
        for what in ("added", "done")
    ]
    return plain, named_sse(*begun, {"type": "response.completed", "response": plain})


def anthropic_messages(*calls):
    blocks = [given(type="tool_use", id=call_id, name=name, input={}) for call_id, name in calls]
    begun = [
        {"type": "content_block_start", "index": at, "content_block": block}
        for at, block in enumerate(blocks)
    ]
    end = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}}
    stream = named_sse({"type": "message_start", "message": {}}, *begun, end)
    return {"content": blocks, "stop_reason": "tool_use"}, stream


def gemini_generate(*calls):
    parts = [{"functionCall": given(id=call_id, name=name)} for call_id, name in calls]
    answer = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    return answer, sse(answer)


def bedrock_converse(*calls):
    uses = [{"toolUse": given(toolUseId=call_id, name=name)} for call_id, name in calls]
    begun = [
        event("contentBlockStart", start=use, contentBlockIndex=at) for at, use in enumerate(uses)
    ]
    plain = {"output": {"message": {"content": uses}}, "stopReason": "tool_use"}
    return plain, b"".join([*begun, event("messageStop", stopReason="tool_use")])


def cohere_chat(*calls):
    told = [given(id=call_id, function={"name": name}) for call_id, name in calls]
    begun = [
        {"type": "tool-call-start", "index": at, "delta": {"message": {"tool_calls": call}}}
        for at, call in enumerate(told)
    ]
    end = {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}}
    return {"message": {"tool_calls": told}, "finish_reason": "TOOL_CALL"}, sse(*begun, end)


UPSTREAMS = {
    made.__name__: made
    for made in (
        openai_chat,
        openai_responses,
        anthropic_messages,
        gemini_generate,
        bedrock_converse,
        cohere_chat,
    )
}


def read_plain(dialect, body):
    response = UPSTREAM_DIALECTS[dialect].read_response(json.dumps(body).encode())
    return [(it.id, it.name) for it in response.message.parts if isinstance(it, ToolCall)]


def read_stream(dialect, body):
    reader = UPSTREAM_DIALECTS[dialect].stream_reader()
    events = reader.feed(body) + reader.close()
    check(events)
    return [(it.id, it.name) for it in events if isinstance(it, ToolCallDelta) and it.id]


def read(dialect, *calls):
    """What a plain answer and a stream with these calls say of them."""
    plain, stream = UPSTREAMS[dialect](*calls)
    return read_plain(dialect, plain), read_stream(dialect, stream)


def test_every_upstream_is_tried():
    assert {"meshgate_chat", *UPSTREAMS} == {*UPSTREAM_DIALECTS}  # the mesh's own is well known


@pytest.mark.parametrize("dialect", UPSTREAMS)
class TestReaders:
    def test_ids_of_the_upstream_are_kept(self, dialect):
        calls = [("a", "f"), ("b", "f")]

        assert read(dialect, *calls) == (calls, calls)

    @pytest.mark.parametrize("missing", [None, ""])
    def test_an_id_that_is_missing_is_made_from_the_calls_place(self, dialect, missing):
        plain, streamed = read(dialect, ("a", "f"), (missing, "g"), (missing, "h"))
        again, _ = read(dialect, ("a", "f"), (missing, "g"), (missing, "h"))

        assert plain == again == streamed
        assert len({call_id for call_id, _ in plain}) == 3
        assert plain[0] == ("a", "f")
        assert all(call_id for call_id, _ in plain)

    def test_two_calls_with_one_id_are_told_apart(self, dialect):
        plain, streamed = read(dialect, ("a", "f"), ("a", "g"))

        for calls in (plain, streamed):
            assert calls[0] == ("a", "f")
            assert calls[1][1] == "g"
            assert calls[1][0] not in ("", "a")

    @pytest.mark.parametrize("missing", [None, ""])
    def test_a_call_of_nothing_spoils_the_answer(self, dialect, missing):
        plain, stream = UPSTREAMS[dialect](("a", missing))

        with pytest.raises(MalformedAnswerError):
            read_plain(dialect, plain)
        with pytest.raises(MalformedAnswerError):
            read_stream(dialect, stream)


def test_what_is_made_is_no_id_that_the_upstream_has_given():
    names = CallNames()

    ids = [names.id_of("f", said, made) for said, made in (("call_1", "x"), (None, "call_1"))]

    assert len(set(ids)) == 2


def test_a_call_of_bedrocks_that_begins_twice_is_one():
    def begun(call_id, at=0):
        use = {"toolUse": {"toolUseId": call_id, "name": "f"}}
        return event("contentBlockStart", start=use, contentBlockIndex=at)

    def more(text, at=0):
        return event("contentBlockDelta", delta={"toolUse": {"input": text}}, contentBlockIndex=at)

    end = event("messageStop", stopReason="tool_use")
    reader = UPSTREAM_DIALECTS["bedrock_converse"].stream_reader()

    events = reader.feed(
        begun("a") + begun("a") + more("{") + begun("b") + more("[") + begun("c", 1) + end
    )
    events += reader.close()

    check(events)
    assert [(it.index, it.id) for it in events if isinstance(it, ToolCallDelta)] == [
        (0, "a"),
        (0, ""),
        (1, "b"),
        (1, ""),
        (2, "c"),
    ]
