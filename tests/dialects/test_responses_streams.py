"""Streamed responses on their way: counted, ended early, looked at, costed and kept."""

import json

import pytest
from dialects.checking import SECRET
from dialects.responses_values import (
    CALLS,
    THINKING,
    answers,
    body,
    events_in,
    pieces_of,
    streams,
    upstream_stream,
    written,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from upstream.behaviours import Behaviour

from meshgate.dialects.canonical import NoCanonicalFormError
from meshgate.dialects.keeping import keeping
from meshgate.dialects.metering import meter
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_responses import grammar
from meshgate.dialects.openai_responses.costed_stream import CostedStream
from meshgate.dialects.openai_responses.errors import write_error_event
from meshgate.dialects.openai_responses.read_response import StreamReader
from meshgate.dialects.openai_responses.tally import OutputTally
from meshgate.dialects.openai_responses.write_response import write
from meshgate.runtime.errors import ServiceUnavailableError, UnsupportedError

DIALECT = "openai_responses"
USAGE = Usage(input_tokens=3, output_tokens=4)
LENGTH = FinishReason.LENGTH
SAID = Behaviour(text=f"It is {SECRET}, not hunter3.", chunks=7)


def tally(chunks=(), **limits):
    counted = OutputTally(answer_id="chatcmpl-0", served_model="m0", created=5, **limits)
    for chunk in chunks:
        counted.take(chunk)
    return counted


class TestCounting:
    def test_every_text_is_counted_once(self):
        counted = tally(upstream_stream(CALLS, **THINKING))

        texts = sorted(counted.texts())

        assert texts == sorted(
            ["Thinking it over.", "get_weather", '{"city":"Paris"}', "get_time", '{"at":7}']
        )
        assert counted.text_bytes == counted.kept_bytes == sum(map(len, texts))
        assert counted.ended

    @pytest.mark.parametrize("left_out", [(b".delta\n",), (b".delta\n", b".added\n")])
    def test_what_is_told_whole_only_is_counted(self, left_out):
        stream = upstream_stream(CALLS)

        counted = tally(piece for piece in stream if not any(kind in piece for kind in left_out))

        assert counted.text_bytes == tally(stream).text_bytes

    def test_what_cannot_be_read_adds_nothing(self):
        counted = tally([b"event: x\ndata: [1\n\n", b"data: 7\n\n", b'data: {"type":3}\n\n'])

        assert counted.texts() == []
        assert not counted.ended

    def test_a_request_is_counted_by_its_texts_tools_and_pictures(self):
        request = body(
            instructions="Be brief.",
            input=[
                {"role": "user", "content": [{"type": "input_image", "detail": "low"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "sunny"},
            ],
            tools=[{"type": "function", "name": "f"}],
        )

        counted = meter(DIALECT).countable_text(request)

        assert counted.message_count == 4
        assert counted.other_tokens == 85
        assert counted.texts[:4] == ["Be brief.", "f", "{}", "sunny"]
        assert counted.texts[4:] == ['{"type":"function","name":"f"}']

    @given(answers())
    @settings(deadline=None, max_examples=30)
    def test_plain_and_streamed_answers_count_alike(self, answer):
        plain = write(answer, created=7)
        stream = keeping(DIALECT).streamed(plain, 7, include_usage=True)

        counted = meter(DIALECT).answer_texts(plain)

        assert sum(len(text.encode()) for text in counted) == tally([stream]).text_bytes


class TestEndingEarly:
    @given(streams(), st.integers(0, 60), st.sampled_from(FinishReason))
    @settings(deadline=None, max_examples=30)
    def test_what_is_ended_at_any_event_obeys_the_grammar(self, events, at, reason):
        passed = pieces_of(written(events))[:at]

        ending = tally(passed).ending(reason, USAGE, include_usage=True)

        grammar.check(b"".join(passed) + ending)

    @pytest.mark.parametrize("behaviour", [Behaviour(), CALLS])
    def test_the_upstreams_own_streams_are_ended_as_well(self, behaviour):
        stream = upstream_stream(behaviour, **THINKING)

        for at in range(len(stream)):
            passed = stream[:at]
            ending = tally(passed).ending(LENGTH, USAGE, include_usage=True)
            grammar.check(b"".join(passed) + ending)

    def test_the_end_tells_what_was_said_why_and_what_it_took(self):
        passed = upstream_stream()[:6]

        end = events_in(tally(passed).ending(LENGTH, USAGE, include_usage=True))[-1]

        response = end["response"]
        assert end["type"] == "response.incomplete"
        assert response["incomplete_details"] == {"reason": "max_output_tokens"}
        assert response["usage"]["output_tokens"] == 4
        assert response["model"] == "gpt-4o"
        [message] = response["output"]
        assert message["content"][0]["text"] == "The quick brown fox ju"

    def test_items_that_nobody_knows_are_told_again(self):
        item = {"type": "web_search_call", "id": "ws_1", "status": "in_progress"}
        content = {"type": "response.output_item.added", "sequence_number": 2, "output_index": 0}
        added = b"event: response.output_item.added\ndata: "
        added += json.dumps(content | {"item": item}).encode() + b"\n\n"
        passed = [*upstream_stream()[:2], added]

        ending = tally(passed).ending(LENGTH, USAGE, include_usage=True)

        grammar.check(b"".join(passed) + ending)
        assert events_in(ending)[-1]["response"]["output"] == [item]

    def test_what_is_larger_than_may_be_kept_ends_with_an_error(self):
        passed = upstream_stream()[:7]

        ending = tally(passed, limit_bytes=20).ending(LENGTH, USAGE, include_usage=True)

        grammar.check(b"".join(passed) + ending)
        [error] = events_in(ending)
        assert error["type"] == "error"
        assert "larger" in error["message"]

    def test_nothing_follows_an_end(self):
        assert tally(upstream_stream()).ending(LENGTH, USAGE, include_usage=True) == b""


class TestCosting:
    def test_the_cost_stands_beside_the_usage(self):
        costed = CostedStream()

        passed = b"".join(map(costed.take, upstream_stream()))
        end = costed.ending(USAGE, "0.0001")

        grammar.check(passed + end)
        response = events_in(end)[0]["response"]
        assert response["meshgate"] == {"cost_usd": "0.0001"}
        assert response["usage"]["output_tokens"] == 9

    def test_a_usage_that_the_upstream_kept_to_itself_is_told(self):
        costed = CostedStream()
        for piece in upstream_stream(Behaviour(usage_sent="never")):
            costed.take(piece)

        end = costed.ending(USAGE, None)

        assert events_in(end)[0]["response"]["usage"]["output_tokens"] == 4

    def test_where_a_stream_breaks_nothing_is_lost(self):
        costed = CostedStream()
        stream = upstream_stream()

        passed = b"".join(map(costed.take, stream))

        assert passed + costed.rest() == b"".join(stream)


class TestKeeping:
    @given(answers())
    @settings(deadline=None, max_examples=30)
    def test_an_answer_that_is_kept_is_told_as_a_stream(self, answer):
        plain = write(answer, created=7)

        stream = keeping(DIALECT).streamed(plain, 7, include_usage=True)

        grammar.check(stream)
        kept = keeping(DIALECT).listen(7, 10**6)
        kept.take(stream)
        assert json.loads(kept.body(answer.usage))["output"] == json.loads(plain)["output"]

    def test_requests_that_ask_for_the_same_are_alike(self):
        canonical = keeping(DIALECT).canonical

        first = canonical(b'{"model":"m","input":"Hi","store":false,"stream":true}')
        second = canonical(b'{"input":"Hi", "model":"m","user":"u"}')

        assert first.form == second.form
        assert first.tells_alike
        assert canonical(body(input="Ho")).form != first.form

    @pytest.mark.parametrize(
        "members",
        [
            {"tools": [{"type": "web_search"}]},
            {"include": ["message.output_text.logprobs"]},
            {"truncation": "auto"},
            {"tomorrow": 1},
        ],
    )
    def test_what_a_stream_would_tell_otherwise_is_not_told_from_a_plain_answer(self, members):
        assert not keeping(DIALECT).canonical(body(**members)).tells_alike

    def test_a_request_that_names_a_member_twice_has_no_form(self):
        with pytest.raises(NoCanonicalFormError):
            keeping(DIALECT).canonical(b'{"model":"a","model":"b","input":"x"}')

    @pytest.mark.parametrize(
        ("members", "reason"),
        [
            ({"status": "completed"}, FinishReason.STOP),
            (
                {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
                LENGTH,
            ),
            ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, None),
            ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, None),
            ({"status": "failed", "error": {"code": "x"}}, None),
            ({"status": "completed", "output": "?"}, None),
            (
                {
                    "status": "completed",
                    "output": [{"type": "message", "content": [{"type": "refusal"}]}],
                },
                None,
            ),
        ],
    )
    def test_only_answers_that_ended_well_are_kept(self, members, reason):
        answer = json.dumps({"id": "r", "output": []} | members).encode()

        assert keeping(DIALECT).good_end(answer) is reason


class TestErrors:
    def test_the_event_follows_the_last_one_and_says_it_in_both_ways(self):
        passed = upstream_stream()[:5]
        error = ServiceUnavailableError("no more")

        event = write_error_event(error, passed[-1])

        grammar.check(b"".join(passed) + event)
        [told] = events_in(event)
        assert told["message"] == told["error"]["message"] == "no more"
        assert told["code"] == told["error"]["code"] == "service_unavailable"

    def test_a_reader_takes_it_for_an_error(self):
        reader = StreamReader()

        reader.feed(write_error_event(UnsupportedError("no", field="input"), b"what is no event"))

        assert (reader.error.message, reader.error.param) == ("no", "input")


class TestGrammar:
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda stream: stream[1:],
            lambda stream: stream[:-1],
            lambda stream: [*stream, stream[-1]],
            lambda stream: [*stream[:4], *stream[5:]],
            lambda stream: (
                [piece.replace(b"quick", b"slow") for piece in stream[:-1]] + stream[-1:]
            ),
            lambda stream: [piece.replace(b'"item_id":"msg_', b'"item_id":"x') for piece in stream],
            lambda stream: [
                piece.replace(b"event: response.c", b"event: other.c") for piece in stream
            ],
        ],
    )
    def test_what_breaks_it_is_found(self, spoil):
        stream = upstream_stream()
        grammar.check(b"".join(stream))

        with pytest.raises(grammar.GrammarError):
            grammar.check(b"".join(spoil(stream)))
