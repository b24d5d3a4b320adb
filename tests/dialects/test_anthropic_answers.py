"""Anthropic's messages as answers: read, written, and told as they come."""

import json
from pathlib import Path

import pytest
from anthropic.types import Message as SdkMessage
from anthropic.types import RawMessageStreamEvent
from dialects import anthropic_values as values
from dialects.neutral_values import read_sizes, split
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from meshgate.dialects import sse
from meshgate.dialects.answers import CutStreamError, MalformedAnswerError
from meshgate.dialects.anthropic_messages import grammar, passthrough
from meshgate.dialects.anthropic_messages.call_order import CallOrder
from meshgate.dialects.anthropic_messages.dialect import DIALECT
from meshgate.dialects.anthropic_messages.signing import UNSIGNED
from meshgate.dialects.grammar import GrammarError, check
from meshgate.dialects.neutral import (
    ChatResponse,
    Citation,
    CitationDelta,
    Finished,
    FinishReason,
    Message,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Role,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from meshgate.dialects.retelling import Collector, events_of
from meshgate.dialects.translation import translator

GOLDEN = Path(__file__).parent / "golden" / "anthropic"
STREAMS = ["text", "tool_use", "thinking", "citations"]
OWN = values.OWN
SDK_EVENT = TypeAdapter(RawMessageStreamEvent)


def golden(name):
    return (GOLDEN / name).read_bytes()


def read_stream(data):
    reader = DIALECT.stream_reader()
    events = reader.feed(data)
    return [*events, *reader.close()]


def written(events):
    return DIALECT.stream_writer(created=1, include_usage=True).write(events)


def payloads(stream):
    return [json.loads(event.data) for event in sse.EventReader().feed(stream)]


class TestPublishedForms:
    def test_a_text(self):
        *events, finished = read_stream(golden("text.sse"))

        assert events == [
            Started(id="msg_01text", served_model="claude-opus-4-8"),
            TextDelta("Good"),
            TextDelta(" morning, Zoë"),
        ]
        assert finished == Finished(
            reason=FinishReason.STOP,
            usage=Usage(
                input_tokens=25 + 7 + 11,
                cached_input_tokens=11,
                cache_creation_input_tokens=7,
                long_cache_creation_input_tokens=3,
                output_tokens=15,
                service_tier="standard",
            ),
            stop_sequence="END",
        )

    def test_calls_of_tools_whose_arguments_may_be_nothing(self):
        events = read_stream(golden("tool_use.sse"))

        assert events[2:-1] == [
            ToolCallDelta(index=0, id="toolu_01a", name="get_weather"),
            ToolCallDelta(index=0, arguments_fragment='{"city": "Ly'),
            ToolCallDelta(index=0, arguments_fragment='on"}'),
            ToolCallDelta(index=1, id="toolu_01b", name="get_time"),
            ToolCallDelta(index=1, arguments_fragment="{}"),
        ]
        assert events[-1].reason is FinishReason.TOOL_CALLS

    def test_thoughts_with_their_signatures(self):
        events = read_stream(golden("thinking.sse"))

        assert events[1:-1] == [
            ReasoningDelta("First I divide"),
            ReasoningDelta(", then I add."),
            ReasoningDelta("", b"EqQBCgIYAhIM1gbcDa9GJwZA2b3h", OWN),
            ReasoningDelta("", b"EmwKAhgBEgy3va3pzix", OWN, is_redacted=True),
            TextDelta("It is 21."),
        ]
        assert events[-1].usage.reasoning_tokens == 31

    def test_citations_of_the_statement_that_they_stand_at(self):
        events = read_stream(golden("citations.sse"))

        assert events[1:-1] == [
            TextDelta("It says: "),
            TextDelta("grass is green"),
            CitationDelta(
                Citation(
                    title="Meadows",
                    quoted="The grass is green.",
                    document=0,
                    start=9,
                    end=23,
                    source_unit="char",
                    source_start=0,
                    source_end=20,
                )
            ),
        ]

    def test_an_error_ends_the_stream(self):
        reader = DIALECT.stream_reader()

        events = reader.feed(golden("error.sse"))

        assert [type(event) for event in events] == [Started]
        assert (reader.error.type, reader.error.message) == ("overloaded_error", "Overloaded")
        assert reader.close() == []

    def test_a_plain_answer(self):
        response = DIALECT.read_response(golden("answer.json"))

        assert response.message.parts == (
            Reasoning(text="I need the weather.", signature=b"EqQBCgIYAhIM", origin=OWN),
            Text("I look it up."),
            ToolCall(id="toolu_01a", name="get_weather", arguments_json='{"city": "Lyon"}'),
        )
        assert response.finish_reason is FinishReason.TOOL_CALLS
        assert response.usage == Usage(
            input_tokens=2095 + 2051 + 2051,
            cached_input_tokens=2051,
            cache_creation_input_tokens=2051,
            long_cache_creation_input_tokens=51,
            output_tokens=503,
            reasoning_tokens=300,
            service_tier="priority",
        )

    @pytest.mark.parametrize("name", STREAMS)
    def test_they_are_legal_in_both_grammars(self, name):
        grammar.check(golden(f"{name}.sse"))
        check(read_stream(golden(f"{name}.sse")))

    @pytest.mark.parametrize("name", STREAMS)
    @given(sizes=read_sizes)
    @settings(deadline=None, max_examples=25)
    def test_they_say_the_same_however_they_are_cut(self, name, sizes):
        reader = DIALECT.stream_reader()

        parts = [
            event for part in split(sizes, golden(f"{name}.sse")) for event in reader.feed(part)
        ]

        assert parts == read_stream(golden(f"{name}.sse"))

    @pytest.mark.parametrize("name", STREAMS)
    def test_they_never_look_whole_when_they_are_cut_off(self, name):
        whole = golden(f"{name}.sse")
        told = whole.index(b"event: message_delta")

        for at in range(0, told, 37):
            reader = DIALECT.stream_reader()
            reader.feed(whole[:at])
            with pytest.raises(CutStreamError):
                reader.close()

    def test_an_answer_that_has_told_its_end_needs_no_more(self):
        whole = golden("text.sse")
        reader = DIALECT.stream_reader()
        reader.feed(whole[: whole.index(b"event: message_stop")])

        [finished] = reader.close()

        assert finished.stop_sequence == "END"


class TestRoundTrips:
    @given(values.responses())
    @settings(deadline=None, max_examples=40)
    def test_an_answer_survives(self, response):
        assert DIALECT.read_response(DIALECT.write_response(response, created=1)) == response

    @given(values.streams(), read_sizes)
    @settings(deadline=None, max_examples=40)
    def test_a_stream_survives_however_it_is_cut(self, events, sizes):
        stream = written(events)
        reader = DIALECT.stream_reader()

        read = [event for part in split(sizes, stream) for event in reader.feed(part)]

        grammar.check(stream)
        check(read)
        assert read == events
        assert reader.close() == []

    @given(values.streams())
    @settings(deadline=None, max_examples=40)
    def test_what_is_written_is_legal_for_the_sdk(self, events):
        for payload in payloads(written(events)):
            SDK_EVENT.validate_python(payload)

    @given(values.responses())
    @settings(deadline=None, max_examples=40)
    def test_a_plain_answer_is_legal_for_the_sdk(self, response):
        SdkMessage.model_validate_json(DIALECT.write_response(response, created=1))

    @given(values.streams())
    @settings(deadline=None, max_examples=40)
    def test_a_stream_is_kept_as_the_plain_answer_that_says_the_same(self, events):
        collector = Collector(DIALECT.stream_reader(), 1_000_000)
        collector.take(written(events))
        response = collector.response(events[-1].usage)

        told_again = written(events_of(response))

        again = Collector(DIALECT.stream_reader(), 1_000_000)
        again.take(told_again)
        assert again.response(events[-1].usage) == response


class TestParallelCalls:
    @given(st.data())
    @settings(deadline=None, max_examples=40)
    def test_fragments_that_come_by_turns_become_blocks_one_after_the_other(self, data):
        called = data.draw(values.calls(least=2, most=4))
        left, mixed = [list(events) for events in called], []
        begun = 0
        while any(left):
            fit = [i for i, events in enumerate(left) if events and i <= begun]
            at = data.draw(st.sampled_from(fit))
            begun = max(begun, at + 1)
            mixed.append(left[at].pop(0))
        whole = [
            Started(id="m", served_model="m"),
            *mixed,
            Finished(reason=FinishReason.TOOL_CALLS, usage=Usage()),
        ]

        stream = written(whole)

        grammar.check(stream)
        read = read_stream(stream)
        for index, events in enumerate(called):
            said = "".join(
                event.arguments_fragment
                for event in read
                if isinstance(event, ToolCallDelta) and event.index == index
            )
            assert said == "".join(event.arguments_fragment for event in events)

    def test_what_comes_in_order_never_waits(self):
        order = CallOrder()
        events = [
            TextDelta("a"),
            ToolCallDelta(index=0, id="1", name="f", arguments_fragment='{"a": "}'),
            ToolCallDelta(index=0, arguments_fragment='"}'),
            ToolCallDelta(index=1, id="2", name="f", arguments_fragment="{}"),
            TextDelta("b"),
        ]

        passed = [list(order.take(event)) for event in events]

        assert passed == [[event] for event in events]

    def test_what_waits_is_bounded(self):
        order = CallOrder(most_waiting_bytes=5_000)
        list(order.take(ToolCallDelta(index=0, id="1", name="f", arguments_fragment="{")))

        def add_many():
            for number in range(10):
                list(order.take(ToolCallDelta(index=number + 1, id="2", name="f")))

        with pytest.raises(MalformedAnswerError, match="tangle"):
            add_many()

    def test_a_call_that_goes_on_after_its_end_spoils_the_answer(self):
        order = CallOrder()
        list(order.take(ToolCallDelta(index=0, id="1", name="f", arguments_fragment="{}")))
        list(order.take(ToolCallDelta(index=1, id="2", name="f", arguments_fragment="{}")))

        assert list(order.take(ToolCallDelta(index=0, arguments_fragment=" "))) == []
        with pytest.raises(MalformedAnswerError):
            list(order.take(ToolCallDelta(index=0, arguments_fragment="{}")))


class TestOtherWords:
    def test_a_refusal_is_text_with_the_stop_reason(self):
        refused = [
            Started(id="m", served_model="m"),
            RefusalDelta("No."),
            Finished(reason=FinishReason.STOP, usage=None),
        ]
        plain = ChatResponse(
            id="m",
            served_model="m",
            message=Message(role=Role.ASSISTANT, parts=(Refusal("No."),)),
            finish_reason=FinishReason.STOP,
        )

        stream = written(refused)
        answer = json.loads(DIALECT.write_response(plain, created=1))

        grammar.check(stream)
        assert payloads(stream)[-2]["delta"]["stop_reason"] == "refusal"
        assert answer["stop_reason"] == "refusal"
        assert answer["content"] == [{"type": "text", "text": "No."}]

    def test_calls_have_their_stop_reason_where_the_upstream_says_stop(self):
        events = [
            Started(id="m", served_model="m"),
            ToolCallDelta(index=0, id="1", name="f", arguments_fragment="{}"),
            Finished(reason=FinishReason.STOP, usage=None),
        ]

        assert payloads(written(events))[-2]["delta"]["stop_reason"] == "tool_use"

    def test_a_thought_without_signature_says_so_when_it_comes_back(self):
        events = [
            Started(id="m", served_model="m"),
            ReasoningDelta("hm"),
            TextDelta("a"),
            Finished(reason=FinishReason.STOP, usage=None),
        ]

        signatures = [
            said["delta"]["signature"]
            for said in payloads(written(events))
            if said.get("delta", {}).get("type") == "signature_delta"
        ]

        assert signatures == [UNSIGNED]

    def test_each_citation_stands_at_its_statement(self):
        cited = Citation(uri="https://x.example", title="X", quoted="q", start=2, end=4)
        response = ChatResponse(
            id="m",
            served_model="m",
            message=Message(role=Role.ASSISTANT, parts=(Text("a bc d", (cited,)),)),
        )

        content = json.loads(DIALECT.write_response(response, created=1))["content"]

        assert [block["text"] for block in content] == ["a ", "bc", " d"]
        assert [len(block.get("citations", ())) for block in content] == [0, 1, 0]
        assert content[1]["citations"][0]["url"] == "https://x.example"

    @pytest.mark.parametrize(
        ("word", "reason"),
        [
            ("pause_turn", FinishReason.UNSPECIFIED),
            ("refusal", FinishReason.CONTENT_FILTER),
            ("model_context_window_exceeded", FinishReason.LENGTH),
        ],
    )
    def test_every_stop_reason_is_understood(self, word, reason):
        body = json.dumps({"content": [], "stop_reason": word, "model": "m"}).encode()

        assert DIALECT.read_response(body).finish_reason is reason
        assert passthrough.glance(body).finish_reason is reason


def start(**block):
    return {"type": "content_block_start", "content_block": block}


def delta(**said):
    return {"type": "content_block_delta", "delta": said}


def streamed(*events):
    opening = {"type": "message_start", "message": {"id": "m", "model": "m", "usage": {}}}
    told = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}}
    ending = [told, {"type": "message_stop"}]
    return b"".join(
        b"data: " + json.dumps(event).encode() + b"\n\n" for event in [opening, *events, *ending]
    )


class TestOddStreams:
    def test_indices_that_lack_or_begin_elsewhere_are_put_right(self):
        called = start(type="tool_use", id="1", name="f", input={})
        stream = streamed(
            called | {"index": 7},
            delta(type="input_json_delta", partial_json="{}") | {"index": 7},
            start(type="tool_use", id="2", name="g", input={}),
            delta(type="input_json_delta", partial_json="[]"),
        )

        events = read_stream(stream)

        check(events)
        assert [event.index for event in events[1:-1]] == [0, 0, 1, 1]

    def test_arguments_that_stand_in_the_begin_only_are_not_lost(self):
        stream = streamed(start(type="tool_use", id="1", name="f", input={"a": 1}) | {"index": 0})

        assert read_stream(stream)[2] == ToolCallDelta(index=0, arguments_fragment='{"a": 1}')

    def test_events_of_an_unknown_type_say_nothing(self):
        assert len(read_stream(streamed({"type": "tomorrow", "delta": {}}))) == 2

    @pytest.mark.parametrize(
        "event",
        [
            start(type="web_search_tool_result") | {"index": 0},
            delta(type="text_delta", text="a") | {"index": 3},
            start(type="tool_use", id="1") | {"index": 0},
        ],
    )
    def test_blocks_that_would_be_lost_spoil_the_answer(self, event):
        with pytest.raises(MalformedAnswerError):
            read_stream(streamed(event))

    def test_memory_is_bounded_whatever_an_upstream_opens(self):
        many = (start(type="text", text="a") | {"index": index} for index in range(1_001))

        with pytest.raises(MalformedAnswerError, match="too many blocks"):
            read_stream(streamed(*many))

    def test_a_stop_without_a_reason_is_a_cut(self):
        reader = DIALECT.stream_reader()
        opening = {"type": "message_start", "message": {"id": "m"}}
        for event in (opening, {"type": "message_stop"}):
            reader.feed(b"data: " + json.dumps(event).encode() + b"\n\n")

        with pytest.raises(CutStreamError):
            reader.close()


class TestGrammar:
    @pytest.mark.parametrize("name", STREAMS)
    def test_a_stream_that_lacks_an_event_is_found(self, name):
        events = sse.EventReader().feed(golden(f"{name}.sse"))
        needed = [
            at
            for at, event in enumerate(events)
            if event.name in (b"message_start", b"content_block_start", b"content_block_stop")
            or event.name in (b"message_delta", b"message_stop")
        ]

        for at in needed:
            broken = b"".join(map(sse.write, events[:at] + events[at + 1 :]))
            with pytest.raises(GrammarError):
                grammar.check(broken)


def test_openais_clients_get_the_answers_of_anthropics_models():
    stream = translator("openai_chat", "anthropic_messages").stream(created=1, include_usage=True)

    said = stream.feed(golden("tool_use.sse"))

    chunks = [json.loads(e.data) for e in sse.EventReader().feed(said) if e.data != b"[DONE]"]
    calls = [
        call
        for chunk in chunks
        for it in chunk["choices"]
        for call in it["delta"].get("tool_calls", ())
    ]
    assert "".join(call["function"]["arguments"] for call in calls if call["index"] == 0) == (
        '{"city": "Lyon"}'
    )
    assert chunks[-1]["usage"]["completion_tokens"] == 89
