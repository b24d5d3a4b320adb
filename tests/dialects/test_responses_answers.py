"""OpenAI's responses: read, written, streamed both ways, and passed through."""

import json
from pathlib import Path

import msgspec
import pytest
from dialects.neutral_values import read_sizes, split
from dialects.responses_values import (
    CALLS,
    THINKING,
    answers,
    events_in,
    streams,
    upstream_stream,
)
from hypothesis import given, settings
from openai.types.responses import Response
from upstream.behaviours import Behaviour
from upstream.behaviours import Usage as FakeUsage

from meshgate.dialects import grammar as neutral_grammar
from meshgate.dialects.answers import AnswerTooLongError, CutStreamError, MalformedAnswerError
from meshgate.dialects.neutral import (
    Citation,
    Finished,
    FinishReason,
    Reasoning,
    ReasoningDelta,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from meshgate.dialects.openai_responses import grammar, passthrough, read_response
from meshgate.dialects.openai_responses.read_response import StreamReader
from meshgate.dialects.openai_responses.stream_tracker import StreamTracker
from meshgate.dialects.openai_responses.write_response import StreamWriter, write
from meshgate.dialects.translation import translator

FAILED = (
    b'event: response.failed\ndata: {"type":"response.failed","response":'
    b'{"id":"r","error":{"code":"rate_limit_exceeded","message":"slow"}}}'
)
GOLDEN = Path(__file__).parent / "golden" / "openai_responses"


def golden(name):
    return (GOLDEN / name).read_bytes()


def read_stream(*reads):
    reader = StreamReader()
    return [event for part in reads for event in reader.feed(part)] + reader.close()


class TestGolden:
    def test_a_text_with_its_usage(self):
        answer = read_response.read(golden("text.json"))

        assert answer.message.parts == (Text("In a quiet grove a unicorn slept."),)
        assert answer.finish_reason is FinishReason.STOP
        assert answer.usage == Usage(input_tokens=36, output_tokens=87, service_tier="default")

    def test_thoughts_a_citation_and_calls(self):
        answer = read_response.read(golden("thought_and_calls.json"))

        cited = Citation(uri="https://example.com/a", title="A", start=0, end=7)
        assert answer.message.parts == (
            Reasoning(
                text="**First**\n\nthen the second.",
                signature=b"gAAAAABencrypted",
                origin="openai_responses",
                id="rs_1",
            ),
            Text("As said", (cited,)),
            ToolCall(id="call_1", name="get_weather", arguments_json='{"city":"Paris"}'),
            ToolCall(id="call_2", name="shell", arguments_json="ls -l", is_custom=True),
        )
        assert answer.finish_reason is FinishReason.TOOL_CALLS
        assert answer.usage == Usage(
            input_tokens=100,
            cached_input_tokens=64,
            output_tokens=40,
            reasoning_tokens=24,
        )

    def test_an_answer_that_became_too_long_is_incomplete(self):
        answer = read_response.read(golden("incomplete.json"))

        assert answer.finish_reason is FinishReason.LENGTH

    def test_a_published_stream_is_read_and_obeys_the_grammar(self):
        stream = golden("stream.sse")

        events = read_stream(stream)

        grammar.check(stream)
        neutral_grammar.check(events)
        assert events[1:] == [
            TextDelta("Hi"),
            TextDelta(" there!"),
            Finished(
                reason=FinishReason.STOP,
                usage=Usage(input_tokens=37, output_tokens=11, service_tier="default"),
            ),
        ]


@given(answers())
@settings(deadline=None)
def test_an_answer_that_is_written_is_read_again(answer):
    written = write(answer, created=7)

    read = read_response.read(written)

    assert read == answer
    assert passthrough.glance(written).finish_reason is answer.finish_reason


@given(answers())
@settings(deadline=None)
def test_written_answers_are_legal_for_the_openai_sdk(answer):
    response = Response.model_validate_json(write(answer, created=7), strict=True)

    assert response.model == answer.served_model
    assert response.output_text == "".join(
        part.text for part in answer.message.parts if isinstance(part, Text)
    )


@given(streams(), read_sizes)
@settings(deadline=None)
def test_any_stream_that_is_written_obeys_the_grammar_and_says_the_same(events, sizes):
    written = StreamWriter(created=7, include_usage=True).write(events)

    read = read_stream(*split(sizes, written))

    grammar.check(written)
    neutral_grammar.check(read)
    for kind in (TextDelta, ToolCallDelta):
        assert [e for e in read if type(e) is kind] == [e for e in events if type(e) is kind]


@given(streams())
@settings(deadline=None)
def test_events_may_be_written_one_by_one(events):
    whole = StreamWriter(created=7, include_usage=True)
    single = StreamWriter(created=7, include_usage=True)

    assert whole.write(events) == b"".join(single.write([event]) for event in events)


@given(streams(), read_sizes)
@settings(deadline=None)
def test_a_stream_that_is_cut_off_never_looks_whole(events, sizes):
    written = StreamWriter(created=7, include_usage=True).write(events[:-1])

    for follower in (StreamReader(), StreamTracker()):
        for part in split(sizes, written):
            follower.feed(part)
        with pytest.raises(CutStreamError):
            follower.close()


class TestWriting:
    def test_every_item_is_named_by_the_answer(self):
        events = [
            Started(id="chatcmpl-7", served_model="m"),
            ReasoningDelta("hm"),
            TextDelta("so"),
            ToolCallDelta(index=0, id="c", name="f"),
            Finished(reason=FinishReason.TOOL_CALLS),
        ]

        written = events_in(StreamWriter(created=7, include_usage=True).write(events))

        response = written[-1]["response"]
        assert response["id"] == "resp_7"
        assert [item["id"] for item in response["output"]] == ["rs_7_0", "msg_7_1", "fc_7_2"]
        assert response["status"] == "completed"

    def test_the_signature_of_another_upstream_travels_sealed(self):
        events = [
            Started(id="1", served_model="m"),
            ReasoningDelta("hm"),
            ReasoningDelta("", b"proof", "anthropic_messages"),
            TextDelta("so"),
            Finished(reason=FinishReason.STOP),
        ]

        written = events_in(StreamWriter(created=7, include_usage=True).write(events))

        [thought, _] = written[-1]["response"]["output"]
        assert thought["summary"] == [{"type": "summary_text", "text": "hm"}]
        assert thought["encrypted_content"] == "mg1.anthropic_messages.cHJvb2Y="

    def test_what_was_cut_is_incomplete(self):
        events = [
            Started(id="1", served_model="m"),
            TextDelta("so"),
            Finished(reason=FinishReason.LENGTH),
        ]

        end = events_in(StreamWriter(created=7, include_usage=True).write(events))[-1]

        assert end["type"] == "response.incomplete"
        assert end["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
        assert end["response"]["output"][0]["status"] == "incomplete"

    def test_an_answer_that_is_larger_than_may_be_kept_fails(self):
        writer = StreamWriter(created=7, include_usage=True, limit_bytes=10)
        writer.write([Started(id="1", served_model="m"), TextDelta("0123456789")])

        with pytest.raises(AnswerTooLongError):
            writer.write([TextDelta("0")])


class TestReading:
    @given(read_sizes)
    @settings(deadline=None)
    def test_a_stream_says_the_same_however_it_is_cut(self, sizes):
        stream = b"".join(upstream_stream(CALLS, **THINKING))

        read = read_stream(*split(sizes, stream))

        assert read == read_stream(stream)
        neutral_grammar.check(read)

    def test_thoughts_calls_and_usage(self):
        used = FakeUsage(9, 8, cached_input_tokens=4, reasoning_tokens=5)
        behaviour = msgspec.structs.replace(CALLS, usage=used)

        events = read_stream(*upstream_stream(behaviour, **THINKING))

        proofs = [event for event in events if isinstance(event, ReasoningDelta)][-1]
        assert (proofs.signature[:4], proofs.origin) == (b"enc:", "openai_responses")
        assert proofs.id.startswith("rs_")
        named = [event.name for event in events if isinstance(event, ToolCallDelta) and event.name]
        assert named == ["get_weather", "get_time"]
        assert events[-1] == Finished(
            reason=FinishReason.TOOL_CALLS,
            usage=Usage(
                input_tokens=9,
                cached_input_tokens=4,
                output_tokens=8,
                reasoning_tokens=5,
                service_tier="default",
            ),
        )

    def without(self, stream, *kinds):
        return [piece for piece in stream if not any(kind in piece for kind in kinds)]

    @pytest.mark.parametrize(
        "left_out",
        [
            (b".delta\n",),
            (b".delta\n", b"_text.done\n", b"arguments.done\n"),
            (b".delta\n", b".done\n", b"_part.added\n"),
            (b".delta\n", b".done\n", b".added\n"),
        ],
    )
    @pytest.mark.parametrize("behaviour", [Behaviour(), CALLS])
    def test_what_is_not_told_in_pieces_is_told_all_the_same(self, left_out, behaviour):
        stream = upstream_stream(behaviour)

        events = read_stream(*self.without(stream, *left_out))

        def said(events):
            texts = "".join(e.text for e in events if isinstance(e, TextDelta))
            calls = [e for e in events if isinstance(e, ToolCallDelta)]
            calls.sort(key=lambda call: call.index)
            return texts, "".join(e.name + e.arguments_fragment for e in calls), events[-1]

        assert said(events) == said(read_stream(*stream))

    def test_indices_that_are_all_the_same_are_put_right(self):
        stream = [
            piece.replace(b'"output_index":1', b'"output_index":0')
            for piece in upstream_stream(CALLS)
        ]

        assert read_stream(*stream) == read_stream(*upstream_stream(CALLS))

    @pytest.mark.parametrize(
        "event",
        [
            b'event: error\ndata: {"type":"error","code":"rate_limit_exceeded","message":"slow"}',
            b'data: {"error":{"message":"slow","type":"x","code":"rate_limit_exceeded"}}',
            FAILED,
        ],
    )
    @pytest.mark.parametrize("follower", [StreamReader, StreamTracker])
    def test_an_error_in_a_stream_ends_it(self, event, follower):
        stream = follower()
        stream.feed(b"".join(upstream_stream()[:5]))

        told = stream.feed(event + b"\n\n")

        assert not told
        assert not stream.done
        assert (stream.error.code, stream.error.message) == ("rate_limit_exceeded", "slow")

    @pytest.mark.parametrize("follower", [StreamReader, StreamTracker])
    def test_what_a_failed_answer_took_is_known(self, follower):
        response = {"id": "r", "error": {"code": "server_error", "message": "x"}}
        response["usage"] = {"input_tokens": 5, "output_tokens": 3}
        event = json.dumps({"type": "response.failed", "response": response}).encode()
        stream = follower()

        stream.feed(b"data: " + event + b"\n\n")

        assert stream.usage == Usage(input_tokens=5, output_tokens=3)

    def test_what_was_cut_for_a_reason_that_nobody_knows_does_not_look_whole(self):
        answer = json.loads(golden("incomplete.json"))
        answer["incomplete_details"] = {"reason": "steered"}

        read = read_response.read(json.dumps(answer).encode())

        assert read.finish_reason is FinishReason.LENGTH

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_a_plain_answer_that_failed_is_none(self, status):
        body = json.dumps({"id": "r", "output": [], "status": status, "error": {"code": "x"}})

        for read in (read_response.read, passthrough.glance):
            with pytest.raises(MalformedAnswerError):
                read(body.encode())


class TestPassingThrough:
    @given(read_sizes)
    @settings(deadline=None)
    def test_events_pass_untouched_however_they_are_cut(self, sizes):
        stream = b"".join(upstream_stream(**THINKING))
        tracker = StreamTracker()

        passed = b"".join(tracker.feed(part) for part in split(sizes, stream)) + tracker.close()

        assert passed == stream
        assert tracker.done
        assert tracker.finish_reason is FinishReason.STOP
        assert tracker.usage.output_tokens > 0

    def test_what_nobody_knows_passes(self):
        strange = b'event: response.tomorrow\ndata: {"type":"response.tomorrow","x":1.0}\n\n'
        stream = upstream_stream()
        tracker = StreamTracker()

        passed = tracker.feed(b"".join([*stream[:3], strange, *stream[3:]]))

        assert strange in passed

    def test_nothing_is_told_before_the_model_says_something(self):
        created, begun, added, *_ = upstream_stream()
        tracker = StreamTracker()

        assert tracker.feed(created) == tracker.feed(begun) == b""
        assert not tracker.started
        assert tracker.feed(added) == created + begun + added
        assert tracker.started

    def test_an_end_among_ordinary_pieces_is_seen(self):
        stream = upstream_stream()
        tracker = StreamTracker()
        tracker.feed(b"".join(stream[:5]))

        tracker.feed(b"".join(stream[5:]))

        assert tracker.done


@given(streams(), read_sizes)
@settings(deadline=None)
def test_chats_are_told_by_an_upstream_that_has_responses_only(events, sizes):
    written = StreamWriter(created=7, include_usage=True).write(events)
    stream = translator("meshgate_chat", "openai_responses").stream(created=7, include_usage=True)

    for part in split(sizes, written):
        stream.feed(part)
    stream.close()

    assert stream.done
