import pytest

from meshgate.dialects.answers import CutStreamError, MalformedAnswerError, RequestHead
from meshgate.dialects.meshgate_chat import read_request, read_response
from meshgate.dialects.neutral import (
    FinishReason,
    Usage,
)
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import chat_pb2 as chat
from meshgate.v1 import gateway_service_pb2 as pb


def request(*parts, role=chat.ROLE_USER, **members):
    message = chat.Message(role=role, parts=parts or [chat.Part(text="Hi")])
    return pb.ChatRequest(**({"model": "m", "messages": [message]} | members))


def test_the_head_always_wants_usage():
    assert read_request.read_head(request().SerializeToString()) == RequestHead(
        "m", stream=False, include_usage=True
    )


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        (request(model=""), "model"),
        (request(messages=[]), "messages"),
        (request(role=chat.ROLE_UNSPECIFIED), "messages[0].role"),
        (request(role=99), "messages[0].role"),
        (request(chat.Part()), "messages[0].parts[0]"),
        (request(chat.Part(image=chat.Image())), "messages[0].parts[0].image"),
        (
            request(chat.Part(image=chat.Image(uri="x", data=b"y", media_type="z"))),
            "messages[0].parts[0].image",
        ),
        (
            request(chat.Part(image=chat.Image(data=b"y"))),
            "messages[0].parts[0].image.media_type",
        ),
        (
            request(chat.Part(image=chat.Image(data=b"y", media_type="a;b,c"))),
            "messages[0].parts[0].image.media_type",
        ),
        (request(chat.Part(file=chat.File())), "messages[0].parts[0].file"),
        (request(chat.Part(file=chat.File(data=b"x"))), "messages[0].parts[0].file.media_type"),
        (request(chat.Part(audio=chat.Audio())), "messages[0].parts[0].audio.data"),
        (
            request(chat.Part(tool_call=chat.ToolCall(arguments_json=b"\xff"))),
            "messages[0].parts[0].tool_call.arguments_json",
        ),
        (request(chat.Part(text="a"), role=chat.ROLE_TOOL), "messages[0].parts"),
        (request(extra_json=b"[]"), "extra_json"),
        (request(extra_json=b"{"), "extra_json"),
        (request(extra_json=b'{"a":"\xff"}'), "extra_json"),
        (request(extra_json=b'{"a":' + b"[" * 100_000), "extra_json"),
        (request(tools=[chat.Tool(parameters_json=b"7")]), "tools[0].parameters_json"),
        (request(tool_choice=chat.ToolChoice(mode=4)), "tool_choice"),
        (request(tool_choice=chat.ToolChoice(mode=99)), "tool_choice"),
        (request(response_format=chat.ResponseFormat(kind=99)), "response_format.kind"),
        (
            request(response_format=chat.ResponseFormat(schema_json=b"x")),
            "response_format.schema_json",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(sent, field):
    with pytest.raises(InvalidRequestError) as caught:
        read_request.read(sent.SerializeToString())

    assert caught.value.field == field


@pytest.mark.parametrize("job", [read_request.read_head, read_request.read])
def test_bytes_that_are_no_message_are_refused(job):
    with pytest.raises(InvalidRequestError):
        job(b"\xff\xff")


def test_a_reader_tells_what_it_has_seen():
    reader = read_response.StreamReader()
    finished = chat.ChatFinished(reason=chat.FINISH_REASON_LENGTH)
    finished.usage.output_tokens = 3
    events = chat.ChatEvents(
        events=[
            chat.ChatEvent(started=chat.ChatStarted(id="1", served_model="m")),
            chat.ChatEvent(finished=finished),
        ]
    )

    reader.feed(events.SerializeToString())

    assert (reader.started, reader.done, reader.served_model) == (True, True, "m")
    assert (reader.finish_reason, reader.usage) == (FinishReason.LENGTH, Usage(output_tokens=3))
    assert reader.close() == []


def test_a_stream_without_an_end_is_cut():
    with pytest.raises(CutStreamError):
        read_response.StreamReader().close()


@pytest.mark.parametrize(
    "data", [b"\xff", chat.ChatEvents(events=[chat.ChatEvent()]).SerializeToString()]
)
def test_a_chunk_that_says_nothing_is_malformed(data):
    with pytest.raises(MalformedAnswerError):
        read_response.StreamReader().feed(data)


@pytest.mark.parametrize("body", [b"\xff", b""])
def test_bytes_that_are_no_answer_are_malformed(body):
    with pytest.raises(MalformedAnswerError):
        read_response.read(body)
