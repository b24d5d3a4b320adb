"""The typed API carries all that the neutral form can hold, and refuses what contradicts itself."""

import pytest
from dialects.whole_values import whole_requests, whole_responses, whole_streams
from hypothesis import given, settings

from meshgate.dialects.counting import IMAGE_TOKENS
from meshgate.dialects.inspection import inspection
from meshgate.dialects.meshgate_chat import read_request
from meshgate.dialects.meshgate_chat.dialect import DIALECT as MESHGATE
from meshgate.dialects.metering import meter
from meshgate.dialects.neutral import ReasoningDelta
from meshgate.dialects.segments import SegmentKind
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import chat_pb2 as chat
from meshgate.v1 import gateway_service_pb2 as pb


def asked(role, **part):
    return pb.ChatRequest(model="m", messages=[chat.Message(role=role, parts=[chat.Part(**part)])])


@given(whole_requests())
@settings(deadline=None)
def test_a_request_is_read_as_it_was_written(request):
    written = MESHGATE.write_request(request, request.model, stream=False)

    assert MESHGATE.read_request(written) == request


@given(whole_responses)
@settings(deadline=None)
def test_an_answer_is_read_as_it_was_written(response):
    written = MESHGATE.write_response(response, created=1)

    assert MESHGATE.read_response(written) == response


@given(whole_streams())
@settings(deadline=None)
def test_a_stream_is_read_as_it_was_written(events):
    written = MESHGATE.stream_writer(created=1, include_usage=True).write(events)

    assert MESHGATE.stream_reader().feed(written) == events


def test_a_thought_that_ends_with_its_signature_is_told_in_two_events():
    event = ReasoningDelta("hm", b"proof", "anthropic_messages", id="t1")

    written = MESHGATE.stream_writer(created=1, include_usage=True).write([event])

    events = chat.ChatEvents.FromString(written).events
    assert events[0].reasoning_delta == "hm"
    assert events[1].reasoning_end == chat.ReasoningEnd(
        signature=b"proof", origin="anthropic_messages", id="t1"
    )


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (
            asked(chat.ROLE_TOOL, tool_result={"text": "a", "content": [{"text": "b"}]}),
            "messages[0].parts[0].tool_result",
        ),
        (
            asked(chat.ROLE_TOOL, tool_result={"content": [{"refusal": "b"}]}),
            "messages[0].parts[0].tool_result.content[0]",
        ),
        (
            asked(chat.ROLE_USER, image={"uri": "x"}, citations=[{"uri": "y"}]),
            "messages[0].parts[0].citations",
        ),
        (asked(chat.ROLE_USER, file={"uri": "x", "file_id": "y"}), "messages[0].parts[0].file"),
        (asked(chat.ROLE_USER, image={"uri": "x", "file_id": "y"}), "messages[0].parts[0].image"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(request_, field):
    with pytest.raises(InvalidRequestError) as caught:
        read_request.read(request_.SerializeToString())

    assert caught.value.field == field


def test_texts_of_results_and_citations_are_looked_at_and_texts_of_custom_tools_are_no_json():
    result = {"content": [{"text": "found"}, {"image": {"uri": "x"}}]}
    request = asked(chat.ROLE_TOOL, tool_result=result)
    cited = chat.Part(text="so", citations=[chat.Citation(title="A", quoted="it is", uri="u")])
    call = chat.Part(tool_call={"name": "f", "arguments_json": b"SELECT 1", "custom": True})
    answer = pb.ChatResponse(message={"role": chat.ROLE_ASSISTANT, "parts": [cited, call]})

    typed = inspection("meshgate_chat")
    asking = typed.cut_request(request.SerializeToString())
    answering = typed.cut_answer(answer.SerializeToString())

    assert [it.text for it in asking.segments] == ["found"]
    assert [(it.text, it.kind) for it in answering.segments] == [
        ("so", SegmentKind.TEXT),
        ("A", SegmentKind.TEXT),
        ("it is", SegmentKind.TEXT),
        ("SELECT 1", SegmentKind.TEXT),
    ]
    masked = answering.masked({"message.parts[1].tool_call.arguments_json": "SELECT 2"})
    parts = pb.ChatResponse.FromString(masked).message.parts
    assert parts[1].tool_call.arguments_json == b"SELECT 2"


def test_pictures_in_results_are_counted_as_pictures():
    result = {"content": [{"text": "found"}, {"image": {"uri": "x"}}]}
    request = asked(chat.ROLE_TOOL, tool_result=result)

    counted = meter("meshgate_chat").countable_text(request.SerializeToString())

    assert (counted.texts, counted.other_tokens) == (["found"], IMAGE_TOKENS)
