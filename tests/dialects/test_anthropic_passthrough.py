"""Anthropic's messages on their way through: bytes as they are, and what is made of streams."""

import json
from pathlib import Path

import pytest
from dialects import anthropic_values as values
from dialects.checking import MASK, SECRET, Checker, shown
from dialects.neutral_values import read_sizes, split
from hypothesis import given, settings
from hypothesis import strategies as st

from meshgate.dialects import sse
from meshgate.dialects.answers import CutStreamError, MalformedAnswerError
from meshgate.dialects.anthropic_messages import errors, grammar, keeping, passthrough, segments
from meshgate.dialects.anthropic_messages.costed_stream import CostedStream
from meshgate.dialects.anthropic_messages.dialect import DIALECT
from meshgate.dialects.anthropic_messages.inspected_stream import InspectedStream
from meshgate.dialects.anthropic_messages.signing import UNSIGNED
from meshgate.dialects.anthropic_messages.tally import OutputTally
from meshgate.dialects.metering import meter
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.signatures import Signature, seal
from meshgate.dialects.translation import translator
from meshgate.runtime.errors import (
    CredentialInvalidError,
    LimitExceededError,
    ModelNotFoundError,
    UnsupportedError,
    UpstreamFailedError,
)

GOLDEN = Path(__file__).parent / "golden" / "anthropic"
STREAMS = ["text", "tool_use", "thinking", "citations"]
REQUEST = (
    b'{ "future": {"model": 1.0, "x": 12345678901234567890},\n "model":"public", '
    b'"max_tokens": 50, "messages": [ {"role": "user", "content": "d\\u00e9j\\u00e0 vu"} ] }'
)


def golden(name):
    return (GOLDEN / f"{name}.sse").read_bytes()


def through():
    return translator("anthropic_messages", "anthropic_messages")


def events_in(stream):
    return [(event.name, event.data) for event in sse.EventReader().feed(stream)]


class TestRequests:
    def test_only_the_models_name_is_changed(self):
        request = through().request(REQUEST, "claude-opus-5", stream=False)

        assert request.body == (
            b'{"future":{"model": 1.0, "x": 12345678901234567890},"model":"claude-opus-5",'
            b'"max_tokens":50,"messages":[ {"role": "user", "content": "d\\u00e9j\\u00e0 vu"} ]}'
        )
        assert request.head.max_output_tokens == 50

    @pytest.mark.parametrize(("cap", "most"), [(20, 20), (80, 50)])
    def test_a_cap_lowers_the_bound(self, cap, most):
        request = through().request(REQUEST, "m", stream=False, output_cap=cap)

        assert json.loads(request.body)["max_tokens"] == most

    def test_a_cap_lowers_what_may_be_thought_as_well(self):
        thinking = {"type": "enabled", "budget_tokens": 9000, "display": "omitted"}
        asked = json.loads(REQUEST) | {"max_tokens": 10_000, "thinking": thinking}

        body = passthrough.retarget(json.dumps(asked).encode(), "m", 2000)

        assert json.loads(body)["thinking"] == thinking | {"budget_tokens": 1999}

    def test_thoughts_of_other_upstreams_are_left_out(self):
        def thought(signature):
            return {"type": "thinking", "thinking": "t", "signature": signature}

        text = {"type": "text", "text": "mg1. is no signature"}
        content = [
            thought("EqQB"),
            thought(UNSIGNED),
            thought(seal(Signature(b"x", "gemini_generate"))),
            thought(seal(Signature(b"mine", "anthropic_messages"))),
            {"type": "redacted_thinking", "data": seal(Signature(b"x", "openai_responses"))},
            text,
        ]
        turns = [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [thought(UNSIGNED)]},
            {"role": "assistant", "content": content},
        ]
        asked = json.loads(REQUEST) | {"messages": turns}

        body = json.loads(passthrough.retarget(json.dumps(asked).encode(), "m"))

        assert body["messages"] == [
            turns[0],
            {"role": "assistant", "content": [thought("EqQB"), thought("mine"), text]},
        ]


class TestStreams:
    @pytest.mark.parametrize("name", STREAMS)
    def test_bytes_pass_untouched(self, name):
        stream = through().stream(created=1, include_usage=False)

        assert stream.feed(golden(name)) + stream.close() == golden(name)

    @pytest.mark.parametrize("name", STREAMS)
    @given(sizes=read_sizes)
    @settings(deadline=None, max_examples=25)
    def test_bytes_pass_however_they_are_cut(self, name, sizes):
        tracker, reader = passthrough.StreamTracker(), DIALECT.stream_reader()
        reader.feed(golden(name))

        passed = b"".join(tracker.feed(part) for part in split(sizes, golden(name)))

        assert passed == golden(name)
        assert tracker.done
        assert (tracker.usage, tracker.finish_reason) == (reader.usage, reader.finish_reason)
        assert tracker.served_model == "claude-opus-4-8"

    def test_what_is_not_known_passes_too(self):
        tomorrow = b'event: tomorrow\ndata: {"type":"tomorrow","n": 1.0}\n\n'
        first, rest = golden("text").split(b"\n\n", 1)
        tracker = passthrough.StreamTracker()

        passed = tracker.feed(first + b"\n\n" + tomorrow + rest)

        assert tomorrow in passed

    @pytest.mark.parametrize("name", STREAMS)
    @pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
    def test_odd_framing_is_put_right(self, name, newline):
        nameless = b"\n".join(
            line for line in golden(name).split(b"\n") if not line.startswith(b"event: ")
        )
        odd = b"\xef\xbb\xbf: hello\n\n" + nameless.replace(b"\n\n", b"\n\n: still here\n\n")
        tracker, reader = passthrough.StreamTracker(), DIALECT.stream_reader()
        expected = DIALECT.stream_reader().feed(golden(name))

        read, passed = [], b""
        for byte in odd.replace(b"\n", newline):
            read += reader.feed(bytes([byte]))
            passed += tracker.feed(bytes([byte]))

        assert read + reader.close() == expected
        assert passed + tracker.close() == golden(name)

    def test_an_error_is_kept_from_the_caller(self):
        tracker = passthrough.StreamTracker()

        passed = tracker.feed(golden("error"))

        assert b"overloaded" not in passed
        assert tracker.error.type == "overloaded_error"

    def test_a_stream_that_is_cut_off_never_looks_whole(self):
        told = golden("text").index(b"event: message_delta")
        for at in range(0, told, 31):
            tracker = passthrough.StreamTracker()
            tracker.feed(golden("text")[:at])
            with pytest.raises(CutStreamError):
                tracker.close()

    def test_one_that_has_told_its_end_is_ended(self):
        whole = golden("text")
        tracker = passthrough.StreamTracker()

        passed = tracker.feed(whole[: whole.index(b"event: message_stop")])

        assert events_in(passed + tracker.close())[-1][0] == b"message_stop"

    @pytest.mark.parametrize("data", [b"\xff\xfe", b"{", b"[]"])
    def test_what_is_no_event_spoils_it(self, data):
        tracker = passthrough.StreamTracker()
        tracker.feed(golden("text")[:200])

        with pytest.raises(MalformedAnswerError):
            tracker.feed(b"\n\ndata: " + data + b"\n\n")


class TestCounts:
    def test_the_words_of_a_request_are_counted(self):
        found = meter("anthropic_messages").countable_text(
            (GOLDEN / "conversation.json").read_bytes()
        )

        assert {"Be brief.", "What is the weather?", "green", "Look it up.", "no such city"} <= set(
            found.texts
        )
        assert found.message_count == 3
        assert found.other_tokens == 3 * 765 + 1500

    def test_the_words_of_an_answer_are_counted(self):
        texts = meter("anthropic_messages").answer_texts((GOLDEN / "answer.json").read_bytes())

        assert texts == ["I need the weather.", "I look it up.", "get_weather", '{"city":"Lyon"}']

    @pytest.mark.parametrize("name", STREAMS)
    def test_a_stream_is_counted_as_its_plain_answer(self, name):
        tally = OutputTally(answer_id="a", served_model="m", created=1)

        tally.take(golden(name))

        assert tally.ended
        assert tally.text_bytes == tally.kept_bytes > 0
        assert tally.ending(FinishReason.STOP, None, include_usage=True) == b""

    @given(values.streams(), st.integers(0, 40), st.sampled_from(list(FinishReason)))
    @settings(deadline=None, max_examples=60)
    def test_a_stream_can_be_ended_after_any_event(self, events, count, reason):
        stream = DIALECT.stream_writer(created=1, include_usage=True).write(events)
        begun = b"".join(map(sse.write, sse.EventReader().feed(stream)[:count]))
        tally = OutputTally(answer_id="a", served_model="m", created=1)
        tally.take(begun)

        ending = tally.ending(reason, Usage(input_tokens=3, output_tokens=2), include_usage=True)

        grammar.check(begun + ending)

    @pytest.mark.parametrize("cost", ["0.25", None])
    @pytest.mark.parametrize("name", STREAMS)
    def test_a_stream_tells_its_cost_at_its_end(self, name, cost):
        costed = CostedStream()

        passed = costed.take(golden(name))
        ending = costed.ending(Usage(), cost)

        grammar.check(passed + ending)
        told = json.loads(events_in(ending)[0][1])
        assert told["type"] == "message_delta"
        assert told.get("meshgate") == ({"cost_usd": cost} if cost else None)


class TestInspection:
    def request(self, **block):
        turns = [{"role": "assistant", "content": [block]}]
        return json.dumps(json.loads(REQUEST) | {"messages": turns, "system": "be kind"}).encode()

    def test_texts_stand_where_they_are_said(self):
        cut = segments.cut_request((GOLDEN / "conversation.json").read_bytes())

        assert [(each.locator, each.text) for each in cut.segments if "tool" not in each.text][
            :3
        ] == [
            ("*[0].text", "Be brief."),
            ("messages[0].content[1].*", "A"),
            ("messages[0].content[2].*.*", "green"),
        ]

    def test_a_masked_thought_loses_its_signature(self):
        body = self.request(type="thinking", thinking=f"is {SECRET}", signature="EqQB")
        cut = segments.cut_request(body)
        [where] = [each.locator for each in cut.segments if SECRET in each.text]

        masked = json.loads(cut.masked({where: MASK}))

        assert masked["messages"][0]["content"] == [
            {"type": "thinking", "thinking": MASK, "signature": UNSIGNED}
        ]

    def test_nothing_else_is_touched(self):
        cut = segments.cut_request(REQUEST)
        [where] = [each.locator for each in cut.segments if "vu" in each.text]

        masked = cut.masked({where: MASK})

        assert b'"x": 12345678901234567890' in masked
        assert json.loads(masked)["messages"][0]["content"] == MASK

    def test_a_blocked_answer_says_nothing_but_what_it_cost(self):
        blocked = json.loads(segments.blocked_answer((GOLDEN / "answer.json").read_bytes()))

        assert blocked["content"] == []
        assert blocked["stop_reason"] == "refusal"
        assert blocked["usage"]["output_tokens"] == 503

    @pytest.mark.parametrize("name", STREAMS)
    @pytest.mark.parametrize("delay", [0, 9])
    def test_a_stream_with_nothing_in_it_says_the_same(self, name, delay):
        checker = Checker(delay)

        passed = shown(InspectedStream(), [golden(name)], checker.released)

        grammar.check(passed)
        assert _texts(passed) == _texts(golden(name))
        assert b"mg1." not in passed

    @pytest.mark.parametrize("delay", [0, 30])
    def test_secrets_are_masked_wherever_they_stand(self, delay):
        stream = (
            golden("thinking").replace(b"I divide", b"hunter2").replace(b"It is 21", b"hunter2")
        )
        checker = Checker(delay)

        passed = shown(InspectedStream(), [stream], checker.released)

        grammar.check(passed)
        assert SECRET not in "".join(_texts(passed).values())
        assert _texts(passed)[0, "thinking"] == f"First {MASK}, then I add."
        assert _texts(passed)[2, "text"] == f"{MASK}."
        assert UNSIGNED.encode() in passed

    def test_a_stream_that_ends_early_gets_what_was_held_back(self):
        inspected, checker = InspectedStream(), Checker(delay=50)
        begun = golden("text")[: golden("text").index(b"event: content_block_stop")]

        passed = shown(inspected, [begun], checker.released)
        closing = inspected.closing()
        passed += closing.written([checker.released(piece) for piece in closing.pieces])

        assert closing.is_end
        assert _texts(passed) == {(0, "text"): "Good morning, Zoë"}


class TestKeeping:
    def test_requests_are_alike_whatever_order_and_way(self):
        one = keeping.canonical(b'{"model":"m","max_tokens":1,"messages":[]}')
        other = keeping.canonical(
            b'{"stream":true,"metadata":{"user_id":"u"},"messages":[], "max_tokens":1,"model":"m"}'
        )

        assert one == other
        assert one.tells_alike

    def test_hosted_tools_tell_in_their_own_way(self):
        body = b'{"tools":[{"type":"web_search_20250305","name":"s"}]}'

        assert not keeping.canonical(body).tells_alike

    @pytest.mark.parametrize(
        ("word", "reason"),
        [
            ("end_turn", FinishReason.STOP),
            ("max_tokens", FinishReason.LENGTH),
            ("tool_use", FinishReason.TOOL_CALLS),
            ("refusal", None),
            ("pause_turn", None),
            (None, None),
        ],
    )
    def test_only_what_ended_well_is_kept(self, word, reason):
        body = json.dumps({"content": [], "stop_reason": word}).encode()

        assert keeping.good_end(body) is reason


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CredentialInvalidError("no such key"), "authentication_error"),
        (ModelNotFoundError("no such model"), "not_found_error"),
        (UnsupportedError("not here", field="seed"), "invalid_request_error"),
        (LimitExceededError("too much", limit="tokens"), "rate_limit_error"),
        (LimitExceededError("too much", limit="cost"), "billing_error"),
        (UpstreamFailedError("it broke"), "api_error"),
    ],
)
def test_errors_are_told_as_anthropic_does(error, kind):
    told = json.loads(errors.write_error(error))

    assert told["type"] == "error"
    assert told["error"]["type"] == kind
    assert error.message in told["error"]["message"]
    assert events_in(errors.write_error_event(error))[0][0] == b"error"


def _texts(stream):
    """What a client puts together of a stream, by block and kind."""
    texts = {}
    for _, data in events_in(stream):
        said = json.loads(data)
        if said["type"] == "content_block_delta":
            for kind in ("text", "thinking", "partial_json"):
                if said["delta"].get(kind):
                    where = said["index"], kind
                    texts[where] = texts.get(where, "") + said["delta"][kind]
    return texts


@pytest.mark.parametrize(
    ("origin", "thinks"), [("openai_chat", False), ("anthropic_messages", True)]
)
def test_a_round_that_another_upstream_began_is_finished_without_a_budget(origin, thinks):
    thought = {"type": "thinking", "thinking": "hm", "signature": seal(Signature(b"x", origin))}
    call = {"type": "tool_use", "id": "1", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "1", "content": "x"}
    asked = {
        "model": "m",
        "max_tokens": 2048,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [thought, call]},
            {"role": "user", "content": [result]},
        ],
    }

    sent = json.loads(passthrough.retarget(json.dumps(asked).encode(), "up"))

    assert ("thinking" in sent) is thinks
    assert (sent["messages"][1]["content"][0]["type"] == "thinking") is thinks
