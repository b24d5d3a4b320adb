"""Searches of the web that Claude makes by itself: Anthropic charges each of them."""

import json

import pytest

from meshgate.dialects.anthropic_messages import passthrough, usage
from meshgate.dialects.neutral import Usage
from meshgate.dialects.translation import translator
from meshgate.pricing.cost import cost_nanos
from meshgate.pricing.table import shipped
from meshgate.routing.usage_parts import parts_of

TOLD = {"input_tokens": 10, "output_tokens": 4, "server_tool_use": {"web_search_requests": 3}}
USED = Usage(input_tokens=10, output_tokens=4, search_units=3)


def event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


STREAM = b"".join(
    [
        event("message_start", message={"id": "m", "model": "c", "usage": {"input_tokens": 10}}),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn"}, usage=TOLD),
        event("message_stop"),
    ]
)


def test_they_are_counted_in_a_plain_answer():
    answer = {"id": "m", "type": "message", "model": "c", "content": [], "stop_reason": "end_turn"}

    glance = passthrough.glance(json.dumps(answer | {"usage": TOLD}).encode())

    assert glance.usage == USED


@pytest.mark.parametrize("caller", ["anthropic_messages", "openai_chat"])
def test_they_are_counted_in_a_stream(caller):
    stream = translator(caller, "anthropic_messages").stream(created=1, include_usage=True)

    stream.feed(STREAM)
    stream.close()

    assert stream.usage == USED


def test_callers_are_told_of_them():
    assert usage.read(json.dumps(usage.write(USED)).encode()) == USED


@pytest.mark.parametrize("tier", ["", "batch"])
def test_each_costs_a_cent(tier):
    entry = shipped().find("https://api.anthropic.com/v1", "claude-sonnet-4-5")
    assert entry is not None
    prices = shipped().prices(entry)

    costs = [
        cost_nanos(prices, 10, 0, 0, 4, parts=parts_of(used), tier=tier)
        for used in (USED, Usage(input_tokens=10, output_tokens=4))
    ]

    assert costs[0] - costs[1] == 3 * 10_000_000
