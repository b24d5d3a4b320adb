"""Texts of requests and answers, taken out and put back."""

import json
from typing import Any

import pytest
from dialects.checking import MASK, SECRET
from dialects.neutral_values import requests
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.inspection import inspection
from meshgate.dialects.json_text import replaced
from meshgate.dialects.meshgate_chat import write_request
from meshgate.dialects.segments import SegmentKind
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError
from meshgate.v1 import chat_pb2, gateway_service_pb2

CHAT = inspection("openai_chat")
TYPED = inspection("meshgate_chat")
EMBEDDINGS = inspection("openai_embeddings")


def segments(cut: Any) -> dict[str, tuple[SegmentKind, str]]:
    return {each.locator: (each.kind, each.text) for each in cut.segments}


def all_masked(cut: Any) -> Any:
    texts = {
        each.locator: each.text.replace(SECRET, MASK)
        for each in cut.segments
        if SECRET in each.text
    }
    return cut.masked(texts)


def asking(**members: Any) -> bytes:
    return json.dumps({"model": "m", **members}).encode()


def saying(message: dict[str, Any], **more: Any) -> bytes:
    choice = {"index": 0, "message": message, "finish_reason": "stop", **more}
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    members = {"id": "c1", "object": "chat.completion", "created": 7, "model": "m", "usage": usage}
    return json.dumps(members | {"choices": [choice], "oddity": SECRET}).encode()


class TestRequests:
    def test_all_that_is_said_is_found_whoever_says_it(self) -> None:
        call = {"id": "x", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
        body = asking(
            messages=[
                {"role": "system", "content": "be good"},
                {"role": "user", "name": "bob", "content": [{"type": "text", "text": "look"}]},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "x", "content": "42"},
                {"role": "assistant", "refusal": "no", "reasoning_content": "hm"},
            ]
        )

        assert segments(CHAT.cut_request(body)) == {
            "messages[0].content": (SegmentKind.TEXT, "be good"),
            "messages[1].name": (SegmentKind.TEXT, "bob"),
            "messages[1].content[0].text": (SegmentKind.TEXT, "look"),
            "messages[2].tool_calls[0].function.arguments": (SegmentKind.JSON, '{"a":1}'),
            "messages[3].content": (SegmentKind.TEXT, "42"),
            "messages[4].refusal": (SegmentKind.TEXT, "no"),
            "messages[4].reasoning_content": (SegmentKind.TEXT, "hm"),
        }

    def test_pictures_sounds_files_and_tools_are_not_looked_at(self) -> None:
        parts = [
            {"type": "image_url", "image_url": {"url": SECRET}},
            {"type": "input_audio", "input_audio": {"data": SECRET, "format": "wav"}},
            {"type": "file", "file": {"filename": SECRET, "file_data": SECRET}},
        ]
        tools = [{"type": "function", "function": {"name": SECRET}}]

        cut = CHAT.cut_request(asking(messages=[{"role": "user", "content": parts}], tools=tools))

        assert cut.segments == []

    @pytest.mark.parametrize(
        "members",
        [
            {"messages": [{"role": "user", "content": SECRET}]},
            {"messages": [{"role": "user", "Content": SECRET}]},
            {"messages": [{"role": "user", "content": [{"type": "new", "note": [SECRET]}]}]},
            {"messages": [{"role": "user", "content": [SECRET]}]},
            {"messages": [{"role": "user", "content": {"text": SECRET}}]},
            {"messages": [SECRET]},
            {"messages": {SECRET: 1}},
            {"messages": [{"tool_calls": [{"function": {"arguments": {"a": SECRET}}}]}]},
            {"messages": [], "prediction": {"type": "content", "content": SECRET}},
            {"messages": [], "documents": [{"text": SECRET}]},
            {"messages": [], "system": SECRET},
        ],
    )
    def test_nothing_that_a_model_may_be_told_goes_unseen(self, members: dict[str, Any]) -> None:
        body = all_masked(CHAT.cut_request(asking(**members)))

        assert json.loads(body) == json.loads(asking(**members).replace(b"hunter2", MASK.encode()))

    def test_locators_hold_no_name_of_the_callers_own(self) -> None:
        message = {"role": "user", SECRET: "a", "other": "b"}

        cut = CHAT.cut_request(asking(messages=[message]))

        assert list(segments(cut)) == ["messages[0].*", "messages[0].*#1"]
        assert json.loads(cut.masked({"messages[0].*#1": "c"}))["messages"][0]["other"] == "c"

    def test_what_is_not_replaced_keeps_its_bytes(self) -> None:
        body = (
            b'{"model":"m","seed":12345678901234567890.50,"messages":[{"role":"user",'
            b'"content":"hunter2","x":{"n" : 1e2}},{ "role" : "user","content":"\\u0041"}]}'
        )

        masked = all_masked(CHAT.cut_request(body))

        assert masked == body.replace(b"hunter2", MASK.encode())

    def test_a_body_that_passes_is_the_same(self) -> None:
        body = asking(messages=[{"role": "user", "content": "a"}])

        assert CHAT.cut_request(body).masked({}) is body

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b'{"messages":', b'{"messages":' + b"[" * 100_000, b'{"a":"\\ud800"}']
    )
    def test_what_cannot_be_read_is_the_callers_mistake(self, body: bytes) -> None:
        with pytest.raises(InvalidRequestError):
            CHAT.cut_request(body)

    def test_embeddings_inputs_are_looked_at_and_tokens_pass(self) -> None:
        cut = EMBEDDINGS.cut_request(asking(input=["a", SECRET, [1, 2]]))

        assert list(segments(cut)) == ["input[0]", "input[1]"]
        assert json.loads(all_masked(cut))["input"] == ["a", MASK, [1, 2]]
        assert list(segments(EMBEDDINGS.cut_request(asking(input="a")))) == ["input"]
        assert EMBEDDINGS.cut_request(asking(input=[1, 2])).segments == []

    def test_the_typed_apis_texts_are_found_and_replaced(self) -> None:
        request = gateway_service_pb2.ChatRequest(
            model="m", temperature=0.5, extra_json=b'{"a":"hunter2"}'
        )
        parts = [
            chat_pb2.Part(text=SECRET),
            chat_pb2.Part(refusal=SECRET),
            chat_pb2.Part(reasoning=chat_pb2.Reasoning(text=SECRET, signature=b"proof")),
            chat_pb2.Part(tool_result=chat_pb2.ToolResult(tool_call_id="x", text=SECRET)),
            chat_pb2.Part(tool_call=chat_pb2.ToolCall(name="f", arguments_json=b'"hunter2"')),
            chat_pb2.Part(image=chat_pb2.Image(data=b"hunter2", media_type="image/png")),
        ]
        request.messages.add(role="ROLE_USER", parts=parts, name=SECRET)

        cut = TYPED.cut_request(request.SerializeToString())
        masked = gateway_service_pb2.ChatRequest.FromString(all_masked(cut))

        kinds = {locator: kind for locator, (kind, _) in segments(cut).items()}
        assert kinds["messages[0].parts[4].tool_call.arguments_json"] is SegmentKind.JSON
        assert len(kinds) == 7
        (message,) = masked.messages
        assert [message.name, message.parts[0].text, message.parts[1].refusal] == [MASK] * 3
        assert message.parts[2].reasoning == chat_pb2.Reasoning(text=MASK)
        assert message.parts[3].tool_result.text == MASK
        assert message.parts[4].tool_call.arguments_json == b'"[SECRET]"'
        assert message.parts[5].image.data == b"hunter2"
        assert masked.extra_json == b'{"a":"[SECRET]"}'
        assert masked.temperature == 0.5

    @given(requests)
    def test_a_typed_request_of_which_nothing_is_replaced_is_the_same(self, request: Any) -> None:
        body = write_request.write(request, "m", stream=False)

        masked = TYPED.cut_request(body).masked({})

        parse = gateway_service_pb2.ChatRequest.FromString
        assert parse(masked) == parse(body)

    def test_what_is_no_typed_request_is_the_callers_mistake(self) -> None:
        with pytest.raises(InvalidRequestError):
            TYPED.cut_request(b"\xff\xff")


class TestAnswers:
    @pytest.mark.parametrize(
        "message",
        [
            {"content": SECRET},
            {"refusal": SECRET},
            {"reasoning_content": SECRET},
            {"reasoning": SECRET},
            {"tool_calls": [{"function": {"name": "f", "arguments": '{"a":"hunter2"}'}}]},
            {"function_call": {"name": "f", "arguments": SECRET}},
            {"audio": {"id": "a", "data": "", "transcript": SECRET}},
            {"something": [{"new": SECRET}]},
        ],
    )
    def test_all_that_is_answered_is_found_and_replaced(self, message: dict[str, Any]) -> None:
        body = saying({"role": "assistant", **message})

        masked = json.loads(all_masked(CHAT.cut_answer(body)))

        (choice,) = masked["choices"]
        assert SECRET not in json.dumps(choice)
        assert MASK in json.dumps(choice)
        assert choice["finish_reason"] == "stop"

    def test_probabilities_go_with_what_was_replaced_and_only_then(self) -> None:
        body = saying({"content": "a hunter2"}, logprobs={"content": [{"token": SECRET}]})
        cut = CHAT.cut_answer(body)

        assert json.loads(all_masked(cut))["choices"][0]["logprobs"] is None
        assert cut.masked({}) == body

    def test_of_a_blocked_answer_only_what_it_cost_is_left(self) -> None:
        body = saying({"role": "assistant", "content": SECRET}, logprobs={"content": []})

        blocked = CHAT.blocked_answer(body)

        assert SECRET.encode() not in blocked
        answer = json.loads(blocked)
        assert answer["usage"] == {"prompt_tokens": 1, "completion_tokens": 2}
        assert answer["choices"] == [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "", "refusal": None},
                "logprobs": None,
                "finish_reason": "content_filter",
            }
        ]

    def test_of_a_blocked_typed_answer_only_what_it_cost_is_left(self) -> None:
        answer = gateway_service_pb2.ChatResponse(id="a", served_model="m")
        answer.message.parts.add(text=SECRET)
        answer.usage.output_tokens = 3
        body = answer.SerializeToString()

        blocked = gateway_service_pb2.ChatResponse.FromString(TYPED.blocked_answer(body))

        assert list(segments(TYPED.cut_answer(body))) == ["message.parts[0].text"]
        assert blocked.finish_reason == chat_pb2.FINISH_REASON_CONTENT_FILTER
        assert (blocked.id, blocked.served_model, blocked.usage.output_tokens) == ("a", "m", 3)
        assert not blocked.message.parts

    @pytest.mark.parametrize("job", ["cut_answer", "blocked_answer"])
    @pytest.mark.parametrize(("dialect", "body"), [(CHAT, b'{"a":1}'), (TYPED, b"\xff\xff")])
    def test_what_is_no_answer_is_refused(self, dialect: Any, body: bytes, job: str) -> None:
        with pytest.raises(MalformedAnswerError):
            getattr(dialect, job)(body)

    def test_vectors_hold_no_text(self) -> None:
        assert EMBEDDINGS.cut_answer(b'{"data":[]}').segments == []


def test_a_dialect_that_is_not_known_cannot_be_inspected() -> None:
    with pytest.raises(UnsupportedError):
        inspection("esperanto")


json_values = st.recursive(
    st.none() | st.integers(-(2**40), 2**40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


def paths(value: Any) -> list[tuple[Any, ...]]:
    """All that there is in a value."""
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [()] + [(at, *path) for at, item in inside for path in paths(item)]


@given(json_values, st.data())
def test_only_the_value_at_the_path_is_replaced(value: Any, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths(value)))

    changed = json.loads(replaced(json.dumps(value).encode(), {path: b'"new"'}))

    expected: Any = {"": json.loads(json.dumps(value))}
    holder, step = expected, ""
    for at in path:
        holder, step = holder[step], at
    holder[step] = "new"
    assert changed == expected[""]
