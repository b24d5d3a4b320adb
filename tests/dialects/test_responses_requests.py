"""Requests for OpenAI's responses: read, written, and sent on to upstreams that have them."""

import json

import pytest
from dialects.responses_values import body, requests
from hypothesis import given

from meshgate.dialects import signatures
from meshgate.dialects.neutral import (
    CachePoint,
    Citation,
    File,
    Image,
    Message,
    Reasoning,
    ResponseFormatKind,
    Role,
    Text,
    ToolCall,
    ToolChoiceMode,
    ToolResult,
)
from meshgate.dialects.openai_responses import passthrough, read_request, write_request
from meshgate.dialects.signatures import Signature
from meshgate.dialects.translation import translator
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError

FOREIGN = signatures.seal(Signature(b"proof", "anthropic_messages"))
REDACTED = signatures.seal(Signature(b"proof", "anthropic_messages.redacted"))


@given(requests)
def test_what_is_written_is_read_again(request):
    written = write_request.write(request, request.model, stream=False)

    assert read_request.read(written) == request


@given(requests)
def test_what_is_asked_of_an_upstream_is_never_stored(request):
    written = json.loads(write_request.write(request, "up", stream=True))

    assert written["store"] is False
    assert written["stream"] is True
    assert written["model"] == "up"


class TestConversations:
    def test_a_text_is_what_the_user_says(self):
        request = read_request.read(body(instructions="Be brief."))

        assert request.messages == (
            Message(role=Role.SYSTEM, parts=(Text("Be brief."),)),
            Message(role=Role.USER, parts=(Text("Hi"),)),
        )

    def test_what_the_model_said_in_one_go_is_one_message(self):
        items = [
            {"role": "user", "content": "The weather?"},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "enc"},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "phase": "commentary",
                "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
            },
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            {
                "type": "custom_tool_call_output",
                "call_id": "c2",
                "output": [{"type": "input_image", "file_id": "file-1", "detail": "low"}],
            },
        ]

        request = read_request.read(body(input=items))

        thought = Reasoning(text="", signature=b"enc", origin="openai_responses", id="rs_1")
        said = (
            thought,
            Text("Let me see."),
            ToolCall(id="c1", name="f", arguments_json="{}"),
            ToolCall(id="c2", name="g", arguments_json="x", is_custom=True),
        )
        assert request.messages[1] == Message(role=Role.ASSISTANT, parts=said)
        assert [message.parts for message in request.messages[2:]] == [
            (ToolResult(tool_call_id="c1", content=(Text("sunny"),)),),
            (ToolResult(tool_call_id="c2", content=(Image(file_id="file-1", detail="low"),)),),
        ]

    def test_pictures_and_files_come_by_value_address_and_id(self):
        content = [
            {"type": "input_image", "image_url": "https://x.example/a.png", "detail": "auto"},
            {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
            {"type": "input_file", "file_url": "https://x.example/a.pdf"},
            {"type": "input_file", "file_data": "data:text/plain;base64,aGk=", "filename": "a"},
        ]

        request = read_request.read(body(input=[{"role": "user", "content": content}]))

        assert request.messages[0].parts == (
            Image(uri="https://x.example/a.png", detail="auto"),
            Image(data=b"hi", media_type="image/png"),
            File(uri="https://x.example/a.pdf"),
            File(data=b"hi", media_type="text/plain", filename="a"),
        )

    def test_what_is_marked_for_the_cache_is_a_hint(self):
        mark = {"mode": "explicit", "ttl": "30m"}
        part = {"type": "input_text", "text": "long", "prompt_cache_breakpoint": mark}

        request = read_request.read(body(input=[{"role": "user", "content": [part]}]))

        assert request.messages[0].parts == (Text("long"), CachePoint(ttl="1h"))
        assert b"breakpoint" not in write_request.write(request, "up", stream=False)

    def test_what_a_text_cites_is_read(self):
        cited = {"type": "url_citation", "url": "u", "title": "t", "start_index": 1}
        part = {"type": "output_text", "text": "so", "annotations": [cited | {"end_index": 2}]}

        request = read_request.read(body(input=[{"role": "assistant", "content": [part]}]))

        assert request.messages[0].parts == (
            Text("so", (Citation(uri="u", title="t", start=1, end=2),)),
        )

    @pytest.mark.parametrize(
        ("sent", "origin", "is_redacted"),
        [
            ("enc", "openai_responses", False),
            (FOREIGN, "anthropic_messages", False),
            (REDACTED, "anthropic_messages", True),
        ],
    )
    def test_a_signature_comes_back_with_its_origin(self, sent, origin, is_redacted):
        item = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": sent}

        [message] = read_request.read(body(input=[item])).messages

        [thought] = message.parts
        assert (thought.origin, thought.is_redacted) == (origin, is_redacted)

    def test_a_thought_of_somebody_else_is_not_sent(self):
        item = {"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": FOREIGN}
        request = read_request.read(body(input=[item, {"role": "user", "content": "Hi"}]))

        written = json.loads(write_request.write(request, "up", stream=False))

        assert [each["type"] for each in written["input"]] == ["message"]


class TestOptions:
    def test_each_is_read(self):
        schema = {"type": "object"}
        request = read_request.read(
            body(
                text={
                    "format": {
                        "type": "json_schema",
                        "name": "n",
                        "schema": schema,
                        "strict": True,
                    },
                    "verbosity": "low",
                },
                reasoning={"effort": "high", "summary": "auto"},
                tools=[
                    {"type": "function", "name": "f", "parameters": schema, "strict": None},
                    {
                        "type": "custom",
                        "name": "g",
                        "format": {"type": "grammar", "syntax": "lark", "definition": "a: b"},
                    },
                ],
                tool_choice={"type": "custom", "name": "g"},
                service_tier="flex",
                prompt_cache_key="k",
                stream_options={"include_obfuscation": False},
                truncation="disabled",
                include=["reasoning.encrypted_content"],
            )
        )

        assert request.response_format.kind is ResponseFormatKind.JSON_SCHEMA
        assert (request.verbosity, request.reasoning_effort) == ("low", "high")
        assert request.shows_reasoning is True
        assert request.tool_choice.mode is ToolChoiceMode.NAMED
        grammar = {"definition": "a: b", "syntax": "lark"}
        assert json.loads(request.tools[1].format_json) == {"type": "grammar", "grammar": grammar}
        assert json.loads(request.extra_json) == {"service_tier": "flex", "prompt_cache_key": "k"}

    @pytest.mark.parametrize(
        ("members", "field"),
        [
            ({"previous_response_id": "resp_1"}, "previous_response_id"),
            ({"conversation": "conv_1"}, "conversation"),
            ({"background": True}, "background"),
            ({"prompt": {"id": "pmpt_1"}}, "prompt"),
            ({"store": True}, "store"),
            ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        ],
    )
    @pytest.mark.parametrize("upstream", ["openai_responses", "openai_chat"])
    def test_what_needs_stored_responses_is_refused_and_why(self, members, field, upstream):
        with pytest.raises(UnsupportedError, match="stores none") as raised:
            translator("openai_responses", upstream).request(body(**members), "up", stream=False)

        assert raised.value.field == field

    @pytest.mark.parametrize(
        ("members", "field"),
        [
            ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
            ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type"),
            ({"tool_choice": {"type": "allowed_tools", "mode": "auto"}}, "tool_choice.type"),
            ({"include": ["message.output_text.logprobs"]}, "include[0]"),
            ({"top_logprobs": 3}, "top_logprobs"),
            ({"truncation": "auto"}, "truncation"),
            ({"max_tool_calls": 3}, "max_tool_calls"),
            ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
            ({"input": [{"type": "mcp_call", "id": "x"}]}, "input[0].type"),
            ({"tomorrow": {"a": 1}}, "tomorrow"),
        ],
    )
    def test_what_another_dialect_cannot_say_is_refused_by_name(self, members, field):
        between = translator("openai_responses", "openai_chat")

        with pytest.raises(UnsupportedError) as raised:
            between.request(body(**members), "up", stream=False)

        assert raised.value.field == field
        assert field in raised.value.message

    @pytest.mark.parametrize(
        ("members", "field"),
        [
            ({"input": None}, "input"),
            ({"input": ""}, "input"),
            ({"model": ""}, "model"),
            ({"input": [{"role": "nobody", "content": "x"}]}, "input[0].role"),
            ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
            ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, None),
            ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
            ({"tool_choice": "perhaps"}, "tool_choice"),
        ],
    )
    def test_what_breaks_a_rule_is_refused_by_name(self, members, field):
        with pytest.raises(InvalidRequestError) as raised:
            read_request.read(body(**members))

        assert field in (None, raised.value.field)

    @pytest.mark.parametrize(
        "member",
        [{"stop": "x"}, {"seed": 3}, {"presence_penalty": 0.5}, {"logit_bias": {"1": 2}}],
    )
    def test_what_only_chat_completions_know_is_refused_by_name(self, member):
        chat = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | member
        between = translator("openai_chat", "openai_responses")

        with pytest.raises(UnsupportedError):
            between.request(json.dumps(chat).encode(), "up", stream=False)

    def test_the_tier_and_hints_pass_between_openais_two_apis(self):
        told = {"service_tier": "flex", "prompt_cache_key": "k"}
        chat = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | told

        there = translator("openai_chat", "openai_responses")
        back = translator("openai_responses", "openai_chat")
        to_responses = there.request(json.dumps(chat).encode(), "up", stream=False).body
        to_chat = back.request(body(**told), "up", stream=False).body

        assert json.loads(to_responses).items() >= told.items()
        assert json.loads(to_chat).items() >= told.items()


class TestPassingThrough:
    def retargeted(self, raw, output_cap=None):
        return passthrough.retarget(raw, "up", read_request.read_head(raw), output_cap)

    def test_all_else_stays_as_it_is(self):
        raw = (
            b'{"tomorrow": 1.0, "model":"m", "input" : [ {"type":"later","n":1e5} ],"store":false}'
        )

        written = self.retargeted(raw)

        kept = b'"input":[ {"type":"later","n":1e5} ],"store":false}'
        assert written == b'{"tomorrow":1.0,"model":"up",' + kept

    def test_hosted_tools_pass(self):
        written = json.loads(self.retargeted(body(tools=[{"type": "web_search"}])))

        assert written["tools"] == [{"type": "web_search"}]

    @pytest.mark.parametrize("members", [{}, {"store": None}])
    def test_nothing_is_stored_where_the_caller_does_not_say(self, members):
        written = json.loads(self.retargeted(body(**members)))

        assert written["store"] is False
        assert "include" not in written

    def test_thoughts_are_asked_for_so_that_they_can_be_sent_back(self):
        asked = {"reasoning": {"effort": "low"}, "include": ["web_search_call.results"]}

        written = json.loads(self.retargeted(body(**asked)))
        said = json.loads(self.retargeted(body(**asked, store=False)))

        assert written["include"] == ["web_search_call.results", "reasoning.encrypted_content"]
        assert said["include"] == ["web_search_call.results"]

    @pytest.mark.parametrize(
        ("asked", "cap", "written"), [(None, 20, 20), (10, 20, 10), (50, 20, 20), (50, None, 50)]
    )
    def test_no_more_is_asked_for_than_the_cap(self, asked, cap, written):
        members = {} if asked is None else {"max_output_tokens": asked}

        assert json.loads(self.retargeted(body(**members), cap))["max_output_tokens"] == written

    def test_thoughts_that_were_sealed_are_opened_or_left_out(self):
        own = signatures.seal(Signature(b"enc", "openai_responses"))
        items = [
            {"type": "reasoning", "id": f"rs_{at}", "summary": [], "encrypted_content": sealed}
            for at, sealed in enumerate([own, FOREIGN, REDACTED, "enc"])
        ]

        written = json.loads(
            self.retargeted(body(input=[*items, {"role": "user", "content": "x"}]))
        )

        told = [(item.get("id"), item.get("encrypted_content")) for item in written["input"]]
        assert told == [("rs_0", "enc"), ("rs_3", "enc"), (None, None)]


def test_the_head_says_what_routing_needs():
    head = read_request.read_head(body(stream=True, max_output_tokens=9, service_tier="Flex"))

    assert (head.model, head.stream, head.include_usage) == ("m", True, True)
    assert (head.max_output_tokens, head.service_tier) == (9, "flex")
