"""Chat completions hold what goes beyond texts and functions: thoughts with proofs, citations,
custom tools, hints; and put right what servers do wrong in streams.

Wire forms: openai/openai-python (types/chat), OpenRouter's documentation of `reasoning_details`,
Google's of `thought_signature`, Perplexity's of `citations`.
"""

import json
from typing import ClassVar

import msgspec
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from meshgate.dialects import sse
from meshgate.dialects.inspection import inspection
from meshgate.dialects.neutral import (
    CachePoint,
    ChatRequest,
    ChatResponse,
    Citation,
    CitationDelta,
    Finished,
    FinishReason,
    Message,
    Reasoning,
    ReasoningDelta,
    Role,
    Started,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Usage,
)
from meshgate.dialects.openai_chat import grammar
from meshgate.dialects.openai_chat.dialect import DIALECT as OPENAI
from meshgate.dialects.openai_chat.dialect import dialect
from meshgate.dialects.openai_chat.variant import (
    OPENAI as OPENAI_ITSELF,
)
from meshgate.dialects.openai_chat.variant import (
    EffortPlace,
    ThoughtPlace,
    ThoughtTime,
    Variant,
)
from meshgate.dialects.translation import translator
from meshgate.runtime.errors import UnsupportedError

HELLO = [{"role": "user", "content": "Hi"}]
FOREIGN = Reasoning(text="hm", signature=b"\x00proof", origin="anthropic_messages", id="t1")
HIDDEN = Reasoning(text="", signature=b"secret", origin="anthropic_messages", is_redacted=True)
PROOF = Reasoning(text="", signature=b"call proof", origin="gemini_generate")
CALL = ToolCall(id="c1", name="f", arguments_json="{}")
CITED = Citation(uri="https://a.example", title="A", quoted="it is", start=0, end=2)
ROUTER = Variant(thoughts=ThoughtPlace.REASONING_DETAILS, effort=EffortPlace.REASONING)


def body(**members):
    return json.dumps({"model": "m", "messages": HELLO} | members).encode()


def answer(*parts, reason=FinishReason.STOP):
    message = Message(role=Role.ASSISTANT, parts=parts)
    return ChatResponse(id="a", served_model="m", message=message, finish_reason=reason)


def asked(*parts, role=Role.ASSISTANT, **members):
    return ChatRequest(model="m", messages=(Message(role=role, parts=parts),), **members)


def sent(request, variant=None):
    written = dialect(variant or Variant()).write_request(request, "m", stream=False)
    return msgspec.json.decode(written)


def events(*chunks, end=b"data: [DONE]\n\n"):
    reader = OPENAI.stream_reader()
    head = {"id": "a", "model": "m", "object": "chat.completion.chunk", "created": 1}
    read = []
    for chunk in chunks:
        read += reader.feed(b"data: " + json.dumps(head | chunk).encode() + b"\n\n")
    return [*read, *reader.feed(end), *reader.close()]


def delta(finish=None, **members):
    return {"choices": [{"index": 0, "delta": members, "finish_reason": finish}]}


class TestThoughts:
    def test_what_the_caller_gets_it_can_send_back_untouched(self):
        told = OPENAI.write_response(answer(FOREIGN, HIDDEN, Text("so"), PROOF, CALL), created=1)
        message = ChatCompletion.model_validate_json(told).choices[0].message

        back = OPENAI.read_request(body(messages=[*HELLO, message.model_dump(exclude_none=True)]))

        assert back.messages[1].parts == (FOREIGN, HIDDEN, Text("so"), PROOF, CALL)

    def test_the_same_holds_for_what_is_streamed(self):
        stream = [
            Started(id="a", served_model="m"),
            ReasoningDelta("h"),
            ReasoningDelta("m"),
            ReasoningDelta("", FOREIGN.signature, FOREIGN.origin, id=FOREIGN.id),
            ReasoningDelta("", HIDDEN.signature, HIDDEN.origin, is_redacted=True),
            TextDelta("so"),
            ReasoningDelta("", PROOF.signature, PROOF.origin),
            ToolCallDelta(index=0, id="c1", name="f"),
            ToolCallDelta(index=0, arguments_fragment="{}"),
            Finished(reason=FinishReason.TOOL_CALLS),
        ]

        written = OPENAI.stream_writer(created=1, include_usage=True).write(stream)

        grammar.check(written)
        assert OPENAI.stream_reader().feed(written) == stream

    def test_pieces_of_one_thought_have_one_index_and_the_next_another(self):
        first = [ReasoningDelta("a"), ReasoningDelta("b", b"s"), ReasoningDelta("c")]

        written = OPENAI.stream_writer(created=1, include_usage=True).write(first)

        chunks = [json.loads(it.data) for it in sse.EventReader().feed(written)]
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
        assert [it["reasoning_details"][0]["index"] for it in deltas] == [0, 0, 1]
        assert [it["reasoning_content"] for it in deltas] == ["a", "b", "c"]

    def test_a_proof_of_no_call_is_told_before_what_comes_next(self):
        proof = ReasoningDelta("", b"s", "gemini_generate")
        stream = [Started(id="a", served_model="m"), proof, TextDelta("so")]

        written = OPENAI.stream_writer(created=1, include_usage=True).write(stream)

        assert OPENAI.stream_reader().feed(written) == stream

    def test_an_upstreams_own_signature_is_passed_on_as_it_is(self):
        detail = {"type": "reasoning.text", "text": "hm", "signature": "c2ln", "index": 0}
        message = {"role": "assistant", "content": "so", "reasoning_details": [detail]}
        told = body(choices=[{"message": message, "finish_reason": "stop"}])

        response = OPENAI.read_response(told)
        again = json.loads(OPENAI.write_response(response, created=1))

        assert response.message.parts[0] == Reasoning(
            text="hm", signature=b"c2ln", origin="openai_chat"
        )
        assert again["choices"][0]["message"]["reasoning_details"] == [detail]

    @pytest.mark.parametrize(
        ("variant", "expected"),
        [
            (Variant(), {"reasoning_content": "hm\n\nown"}),
            (Variant(thoughts=ThoughtPlace.REASONING), {"reasoning": "hm\n\nown"}),
            (OPENAI_ITSELF, {}),
            (
                ROUTER,
                {
                    "reasoning_details": [
                        {"type": "reasoning.text", "text": "own", "signature": "s", "index": 0}
                    ]
                },
            ),
        ],
    )
    def test_an_upstream_is_told_what_it_can_read_where_it_wants_it(self, variant, expected):
        own = Reasoning(text="own", signature=b"s", origin="openai_chat")

        message = sent(asked(FOREIGN, HIDDEN, own, Text("so")), variant)["messages"][0]

        assert message == {"role": "assistant", "content": "so"} | expected

    def test_some_want_thoughts_with_calls_only(self):
        variant = Variant(thoughts_sent=ThoughtTime.WITH_TOOL_CALLS)
        thought = Reasoning(text="hm")

        spoken = sent(asked(thought, Text("so")), variant)["messages"][0]
        called = sent(asked(thought, CALL), variant)["messages"][0]

        assert "reasoning_content" not in spoken
        assert called["reasoning_content"] == "hm"

    def test_how_much_to_think_is_told_in_the_upstreams_way(self):
        assert sent(asked(Text("a"), reasoning_budget_tokens=0))["reasoning_effort"] == "none"
        assert sent(asked(Text("a"), reasoning_budget_tokens=9), ROUTER)["reasoning"] == {
            "max_tokens": 9
        }
        assert sent(asked(Text("a"), reasoning_effort="low"), ROUTER)["reasoning"] == {
            "effort": "low"
        }

    def test_proofs_of_another_upstream_do_not_pass_through(self):
        told = OPENAI.write_response(answer(FOREIGN, PROOF, CALL), created=1)
        message = json.loads(told)["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": "c1", "content": 'mg1. "mg1.'}
        request = body(messages=[*HELLO, message, result])

        passed = translator("openai_chat", "openai_chat").request(request, "x", stream=False)

        messages = json.loads(passed.body)["messages"]
        assert "reasoning_details" not in messages[1]
        assert "extra_content" not in messages[1]["tool_calls"][0]
        assert messages[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
        assert [messages[0], messages[2]] == [*HELLO, result]

    def test_proofs_are_no_texts_to_be_looked_at(self):
        told = OPENAI.write_response(answer(FOREIGN, HIDDEN, PROOF, CALL), created=1)

        found = {it.text for it in inspection("openai_chat").cut_answer(told).segments}

        assert found == {"hm", "{}"}

    def test_a_thought_that_is_masked_loses_its_proof(self):
        told = OPENAI.write_response(answer(FOREIGN, Text("so")), created=1)
        cut = inspection("openai_chat").cut_answer(told)
        thought = [it.locator for it in cut.segments if it.text == "hm"]

        masked = json.loads(cut.masked(dict.fromkeys(thought, "***")))

        detail = masked["choices"][0]["message"]["reasoning_details"][0]
        assert (detail["text"], detail["signature"]) == ("***", None)


class TestCitations:
    def test_addresses_are_annotations_and_documents_have_no_place(self):
        document = Citation(document=0, quoted="x")
        response = answer(Text("abc"), Text("It is.", (CITED, document)))

        told = OPENAI.write_response(response, created=1)

        found = ChatCompletion.model_validate_json(told).choices[0].message.annotations
        assert [(it.url_citation.start_index, it.url_citation.end_index) for it in found] == [
            (3, 5)
        ]
        assert OPENAI.read_response(told).message.parts[0].citations == (
            msgspec.structs.replace(CITED, start=3, end=5),
        )

    def test_they_are_streamed(self):
        stream = [Started(id="a", served_model="m"), TextDelta("It is."), CitationDelta(CITED)]

        written = OPENAI.stream_writer(created=1, include_usage=True).write(stream)

        for event in sse.EventReader().feed(written):
            ChatCompletionChunk.model_validate_json(event.data)
        assert OPENAI.stream_reader().feed(written) == stream

    def test_perplexitys_addresses_are_told_once_at_the_end(self):
        found = events(
            {**delta(content="It"), "citations": ["https://a.example"]},
            {**delta(content=" is.", finish="stop"), "citations": ["https://a.example"]},
        )

        assert [it for it in found if isinstance(it, CitationDelta)] == [
            CitationDelta(Citation(uri="https://a.example"))
        ]

    def test_an_answer_that_is_sent_back_keeps_them_and_upstreams_are_not_told(self):
        told = json.loads(OPENAI.write_response(answer(Text("It is.", (CITED,))), created=1))
        message = told["choices"][0]["message"]

        request = OPENAI.read_request(body(messages=[message]))

        assert request.messages[0].parts == (Text("It is.", (CITED,)),)
        assert sent(request)["messages"] == [{"role": "assistant", "content": "It is."}]


class TestCustomTools:
    TOOL: ClassVar = {"type": "custom", "custom": {"name": "sql", "format": {"type": "text"}}}
    CALL: ClassVar = {"id": "c", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}

    def test_a_request_is_the_same_when_it_is_read_and_written(self):
        members = {
            "messages": [*HELLO, {"role": "assistant", "content": None, "tool_calls": [self.CALL]}],
            "tools": [self.TOOL],
            "tool_choice": {"type": "custom", "custom": {"name": "sql"}},
        }

        request = OPENAI.read_request(body(**members))

        assert request.tools[0] == Tool(name="sql", is_custom=True, format_json=b'{"type": "text"}')
        assert request.tool_choice == ToolChoice(mode=ToolChoiceMode.NAMED, name="sql")
        assert sent(request) == {"model": "m"} | members

    def test_an_answer_and_a_stream_call_them(self):
        call = ToolCall(id="c", name="sql", arguments_json="SELECT 1", is_custom=True)
        stream = [
            Started(id="a", served_model="m"),
            ToolCallDelta(index=0, id="c", name="sql", is_custom=True),
            ToolCallDelta(index=0, arguments_fragment="SELECT 1"),
        ]

        told = OPENAI.write_response(answer(call), created=1)
        written = OPENAI.stream_writer(created=1, include_usage=True).write(stream)

        assert json.loads(told)["choices"][0]["message"]["tool_calls"] == [self.CALL]
        assert OPENAI.read_response(told).message.parts == (call,)
        assert OPENAI.stream_reader().feed(written) == stream

    def test_an_upstream_that_knows_none_is_not_asked(self):
        request = OPENAI.read_request(body(tools=[self.TOOL]))

        with pytest.raises(UnsupportedError) as caught:
            sent(request, Variant(custom_tools=False))

        assert caught.value.field == "tools[0].custom"


class TestHints:
    def test_cache_control_is_read_as_a_hint_and_left_out_upstream(self):
        part = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}}

        request = OPENAI.read_request(body(messages=[{"role": "user", "content": [part]}]))

        assert request.messages[0].parts == (Text("long"), CachePoint(ttl="1h"))
        assert sent(request)["messages"] == [{"role": "user", "content": "long"}]

    def test_that_a_tool_has_failed_is_told_in_words(self):
        failed = ToolResult(tool_call_id="c", content=(Text("no such file"),), is_error=True)

        message = sent(asked(failed, role=Role.TOOL))["messages"][0]

        assert message["content"] == "Error: no such file"


class TestContentInPieces:
    """As Mistral's models tell it that think (docs/models/thinkchunk.md of its client)."""

    PIECES: ClassVar = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True},
        {"type": "text", "text": "so"},
    ]

    def test_thoughts_are_told_from_what_is_said(self):
        message = {"role": "assistant", "content": self.PIECES}
        told = body(choices=[{"message": message, "finish_reason": "stop"}])

        assert OPENAI.read_response(told).message.parts == (Reasoning(text="hm"), Text("so"))

    def test_the_same_holds_for_what_is_streamed(self):
        found = events(delta(content=self.PIECES[:1]), delta(content="so", finish="stop"))

        assert found[1:3] == [ReasoningDelta("hm"), TextDelta("so")]


class TestStreamsPutRight:
    def test_what_is_null_or_empty_says_nothing(self):
        found = events(
            {"choices": [{"index": 0, "delta": None, "finish_reason": ""}]},
            {"choices": []},
            delta(role="assistant", content=""),
            delta(role="assistant", content="Hi"),
            delta(role="assistant", content=None, tool_calls=None),
            delta(finish="stop"),
            delta(finish="stop"),
        )

        assert found == [
            Started(id="a", served_model="m"),
            TextDelta("Hi"),
            Finished(reason=FinishReason.STOP),
        ]

    def test_usage_is_taken_wherever_it_comes_and_the_last_one_counts(self):
        early = {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
        late = {"usage": {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6}}

        found = events(early, delta(content="Hi") | early, delta(finish="stop") | late)

        assert found[-1] == Finished(
            reason=FinishReason.STOP, usage=Usage(input_tokens=1, output_tokens=5)
        )

    def test_arguments_that_come_in_the_last_chunk_only_are_not_lost(self):
        call = {"index": 0, "id": "c", "function": {"name": "f"}}
        whole = {"index": 0, "function": {"arguments": '{"a":1}'}}

        found = events(delta(tool_calls=[call]), delta(finish="tool_calls", tool_calls=[whole]))

        assert found[1:3] == [
            ToolCallDelta(index=0, id="c", name="f"),
            ToolCallDelta(index=0, arguments_fragment='{"a":1}'),
        ]


def test_hints_and_what_is_usual_are_left_out_where_they_are_not_taken():
    refused = Variant(refused=frozenset({"user", "tool_choice", "parallel_tool_calls"}))
    usual = ToolChoice(mode=ToolChoiceMode.AUTO)
    request = asked(Text("a"), user="ann", tool_choice=usual, parallel_tool_calls=True)

    assert sent(request, refused) == {
        "model": "m",
        "messages": [{"role": "assistant", "content": "a"}],
    }
    with pytest.raises(UnsupportedError, match="tool_choice"):
        sent(asked(Text("a"), tool_choice=ToolChoice(mode=ToolChoiceMode.NONE)), refused)


def test_one_call_at_a_time_is_a_hint_where_no_second_tool_can_be_called():
    refused = Variant(refused=frozenset({"parallel_tool_calls"}))
    one, two = Tool(name="f"), Tool(name="g")

    assert "parallel_tool_calls" not in sent(
        asked(Text("a"), tools=(one,), parallel_tool_calls=False), refused
    )
    with pytest.raises(UnsupportedError, match="parallel_tool_calls"):
        sent(asked(Text("a"), tools=(one, two), parallel_tool_calls=False), refused)


def test_names_of_speakers_are_refused_where_they_are_not_taken():
    named = Message(role=Role.USER, parts=(Text("a"),), name="ann")

    with pytest.raises(UnsupportedError) as caught:
        sent(ChatRequest(model="m", messages=(named,)), Variant(speaker_names=False))

    assert caught.value.field == "messages[0].name"


@pytest.mark.parametrize("variant", [Variant(), Variant(speaker_names=False)])
def test_a_result_has_the_name_of_its_tool_where_names_are_taken(variant):
    result = ToolResult(tool_call_id="c1", content=(Text("sunny"),))
    named = Message(role=Role.TOOL, parts=(result,), name="f")

    [written] = sent(ChatRequest(model="m", messages=(named,)), variant)["messages"]

    assert written["content"] == "sunny"
    assert ("name" in written) is variant.speaker_names


def test_what_a_variant_does_not_take_is_refused_by_name():
    with pytest.raises(UnsupportedError) as refused:
        sent(asked(Text("a"), seed=1), Variant(refused=frozenset({"seed"})))
    with pytest.raises(UnsupportedError) as unknown:
        sent(asked(Text("a"), top_k=1), OPENAI_ITSELF)

    assert (refused.value.field, unknown.value.field) == ("seed", "top_k")


def test_a_variants_words_take_the_place_of_openais_in_both_ways():
    variant = Variant(
        only_bound=True,
        asks_usage=False,
        renamed={"seed": "random_seed"},
        words={"tool_choice": {"required": "any"}},
    )
    asking = body(
        seed=7, tool_choice="required", max_completion_tokens=5, stream=True, b=1.0, a="\u00fc"
    )

    passed = translator("openai_chat", "openai_chat", variant=variant)
    translated = dialect(variant).write_request(OPENAI.read_request(asking), "m", stream=True)

    told = passed.request(asking, "m", stream=True).body

    words = {"random_seed": 7, "tool_choice": "any", "max_tokens": 5, "stream": True}
    expected = {"model": "m", "messages": HELLO, **words, "b": 1.0, "a": "\u00fc"}
    assert list(json.loads(told).items()) == list(expected.items())
    assert b'"\\u00fc"' in told
    assert json.loads(translated) == expected


@pytest.mark.parametrize("name", ["models", "fallbacks"])
def test_a_request_names_no_other_models_than_the_one_that_is_asked_for(name):
    asked = {"model": "m", "messages": [{"role": "user", "content": "x"}], name: ["dearer"]}
    between = translator("openai_chat", "openai_chat")

    with pytest.raises(UnsupportedError, match=name):
        between.request(json.dumps(asked).encode(), "m", stream=False)


@pytest.mark.parametrize("name", ["models", "fallbacks"])
def test_neither_does_one_of_the_typed_api(name):
    asked = ChatRequest(
        model="m",
        messages=(Message(role=Role.USER, parts=(Text("x"),)),),
        extra_json=json.dumps({name: ["dearer"]}).encode(),
    )

    with pytest.raises(UnsupportedError, match=name):
        OPENAI.write_request(asked, "m", stream=False)
