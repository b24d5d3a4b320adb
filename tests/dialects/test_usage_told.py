"""What upstreams tell of their usage, where they tell half of it, or nonsense."""

import json

import pytest
from msgspec import Raw

from meshgate.dialects.anthropic_messages import usage as anthropic
from meshgate.dialects.anthropic_messages.read_request import read_head
from meshgate.dialects.bedrock_converse import usage as converse
from meshgate.dialects.neutral import Usage
from meshgate.dialects.translation import translator

NONSENSE = [{}, {"output_tokens": None}, {"output_tokens": -5}, {"output_tokens": 2**40}, None, []]


def told(usage):
    """A streamed message whose end tells this usage."""
    opening = {"id": "m", "model": "m", "usage": {"input_tokens": 9, "output_tokens": 1}}
    ending = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    events = [{"type": "message_start", "message": opening}, ending, {"type": "message_stop"}]
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]


@pytest.mark.parametrize("caller", ["anthropic_messages", "openai_chat"])
class TestAnthropicsStreams:
    def test_the_end_says_how_much_was_written(self, caller):
        stream = translator(caller, "anthropic_messages").stream(created=1, include_usage=True)

        for event in told({"output_tokens": 40}):
            stream.feed(event)

        assert stream.usage == Usage(input_tokens=9, output_tokens=40)

    @pytest.mark.parametrize("usage", NONSENSE)
    def test_where_it_does_not_the_beginning_is_not_taken_for_all(self, caller, usage):
        stream = translator(caller, "anthropic_messages").stream(created=1, include_usage=True)

        for event in told(usage):
            stream.feed(event)

        assert stream.done
        assert stream.usage is None

    def test_of_one_that_is_cut_all_is_known_that_was_told(self, caller):
        stream = translator(caller, "anthropic_messages").stream(created=1, include_usage=True)

        stream.feed(told({})[0])

        assert stream.usage == Usage(input_tokens=9, output_tokens=1)


@pytest.mark.parametrize(
    ("asked", "tier"),
    [
        ({}, ""),
        ({"speed": "standard", "service_tier": "auto"}, "auto"),
        ({"speed": "fast"}, "fast"),
        ({"speed": "fast", "service_tier": "standard_only"}, "fast"),
        ({"speed": ["fast"]}, ""),
    ],
)
def test_what_is_to_be_served_fast_is_asked_for_at_its_price(asked, tier):
    request = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}

    head = read_head(json.dumps(request | asked).encode())

    assert head.service_tier == tier


class TestAnthropicsUsage:
    @pytest.mark.parametrize("usage", [*NONSENSE, {"input_tokens": 3}])
    def test_an_answer_that_does_not_tell_all_tells_nothing(self, usage):
        assert anthropic.read(json.dumps(usage).encode()) is None

    def test_what_was_cached_is_known_from_its_parts_too(self):
        parts = {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 400}
        raw = json.dumps({"input_tokens": 2, "output_tokens": 1, "cache_creation": parts}).encode()

        usage = anthropic.read(raw)

        assert usage == Usage(
            input_tokens=432,
            output_tokens=1,
            cache_creation_input_tokens=430,
            long_cache_creation_input_tokens=400,
        )


@pytest.mark.parametrize(("said", "tier"), [("Priority", "priority"), ("x" * 100, "")])
def test_converses_tiers_are_named_as_prices_name_them(said, tier):
    raw = Raw(b'{"inputTokens": 1, "outputTokens": 2}')

    usage = converse.read(raw, Raw(json.dumps({"type": said}).encode()))

    assert usage is not None
    assert usage.service_tier == tier
