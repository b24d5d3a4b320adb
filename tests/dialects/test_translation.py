from importlib import import_module

import msgspec
import pytest
from dialects.neutral_values import read_sizes, requests, responses, split, streams
from hypothesis import given, settings
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from meshgate.dialects import sse
from meshgate.dialects.grammar import check
from meshgate.dialects.meshgate_chat.dialect import DIALECT as MESHGATE
from meshgate.dialects.openai_chat.dialect import DIALECT as OPENAI
from meshgate.dialects.translation import CHAT_DIALECTS, UPSTREAM_DIALECTS, translator
from meshgate.runtime.errors import UnsupportedError
from meshgate.v1 import gateway_service_pb2


@given(requests)
@settings(deadline=None)
def test_a_typed_request_survives_the_way_through_openais_format(request):
    typed = MESHGATE.write_request(request, "public", stream=False)

    openai = OPENAI.write_request(MESHGATE.read_request(typed), "target", stream=False)
    back = MESHGATE.write_request(OPENAI.read_request(openai), "public", stream=False)

    sent, received = (gateway_service_pb2.ChatRequest.FromString(body) for body in (typed, back))
    assert received == sent


@given(responses)
@settings(deadline=None)
def test_a_typed_answer_survives_the_way_through_openais_format(response):
    typed = MESHGATE.write_response(response, created=1)

    openai = OPENAI.write_response(MESHGATE.read_response(typed), created=1)

    assert OPENAI.read_response(openai) == response
    assert MESHGATE.write_response(OPENAI.read_response(openai), created=1) == typed


@given(streams(), read_sizes)
@settings(deadline=None)
def test_a_stream_survives_both_formats_however_it_is_cut(events, sizes):
    written = OPENAI.stream_writer(created=1, include_usage=True).write(events)
    reader = OPENAI.stream_reader()
    writer = MESHGATE.stream_writer(created=1, include_usage=True)
    typed = MESHGATE.stream_reader()

    read = [typed.feed(writer.write(reader.feed(part))) for part in split(sizes, written)]

    received = [event for part in read for event in part]
    assert received == events
    assert reader.close() == []
    check(received)


@given(streams(), read_sizes)
@settings(deadline=None)
def test_a_stream_that_is_cut_off_never_looks_whole(events, sizes):
    written = OPENAI.stream_writer(created=1, include_usage=True).write(events[:-1])
    stream = translator("meshgate_chat", "openai_chat").stream(created=1, include_usage=True)
    for part in split(sizes, written):
        stream.feed(part)

    with pytest.raises(Exception, match="before the answer did"):
        stream.close()


@given(responses)
@settings(deadline=None)
def test_written_answers_are_legal_for_the_openai_sdk(response):
    written = OPENAI.write_response(response, created=1730000000)

    completion = ChatCompletion.model_validate_json(written, strict=True)

    assert completion.model == response.served_model
    assert completion.choices[0].finish_reason == response.finish_reason.value


@given(streams())
@settings(deadline=None)
def test_written_chunks_are_legal_for_the_openai_sdk(events):
    written = OPENAI.stream_writer(created=1730000000, include_usage=True).write(events)

    chunks = sse.EventReader().feed(written)

    assert chunks.pop().data == b"[DONE]"
    for chunk in chunks:
        ChatCompletionChunk.model_validate_json(chunk.data, strict=True)


def test_what_came_before_an_upstreams_error_event_is_not_lost():
    stream = translator("meshgate_chat", "openai_chat").stream(created=1, include_usage=True)

    passed = stream.feed(
        b'data: {"id":"1","model":"m","choices":[{"delta":{"content":"Hi"}}]}\n\n'
        b'data: {"error":{"message":"overloaded","type":"server_error","code":503}}\n\n'
    )

    events = MESHGATE.stream_reader().feed(passed)
    assert [type(event).__name__ for event in events] == ["Started", "TextDelta"]
    assert stream.error is not None
    assert (stream.error.message, stream.error.code) == ("overloaded", "503")
    assert stream.close() == b""


def test_a_translated_request_asks_a_stream_for_its_usage():
    typed = gateway_service_pb2.ChatRequest(model="public")
    typed.messages.add(role=2).parts.add(text="Hi")
    chat = translator("meshgate_chat", "openai_chat")

    request = chat.request(typed.SerializeToString(), "target", stream=True)

    body = msgspec.json.decode(request.body)
    assert body == {
        "model": "target",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert request.head.model == "public"


@pytest.mark.parametrize("upstream", UPSTREAM_DIALECTS)
def test_a_result_that_names_its_tool_is_a_result_for_every_upstream(upstream):
    function = {"name": "get_weather", "arguments": "{}"}
    call = {"id": "call_1", "type": "function", "function": function}
    said = [
        {"role": "user", "content": "the weather?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "name": "get_weather", "content": "sunny"},
    ]
    body = msgspec.json.encode({"model": "public", "messages": said})

    request = translator("openai_chat", upstream).request(body, "target", stream=False)

    assert b"sunny" in request.body


def test_the_same_dialect_on_both_sides_passes_answers_untouched():
    body = b'{ "new": 1, "choices": [{"message": {}, "finish_reason": "length"}], "model": "m" }'

    answer = translator("openai_chat", "openai_chat").answer(body, created=1)

    assert answer.body is body
    assert answer.glance.served_model == "m"


def test_a_pair_without_a_way_between_is_refused():
    with pytest.raises(UnsupportedError):
        translator("openai_embeddings", "openai_chat")


def test_every_chat_dialect_names_its_package():
    for name in CHAT_DIALECTS:
        assert import_module(f"meshgate.dialects.{name}.dialect").DIALECT
