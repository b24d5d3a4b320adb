"""Streams of choices that tell their cost: the end waits, all else passes as it came."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_chat.chunks import FORM
from meshgate.dialects.openai_choices.costed_stream import CostedStream

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12, "of_its_own": 1.50}


def event(*choices: object, **more: object) -> bytes:
    told = {"id": "c-1", "object": "chat.completion.chunk", "created": 9, "model": "up"}
    return b"data: " + json.dumps(told | {"choices": list(choices)} | more).encode() + b"\n\n"


def said(text: str, reason: str | None = None, **more: object) -> bytes:
    return event({"index": 0, "delta": {"content": text}, "finish_reason": reason}, **more)


def read(data: bytes) -> list[object]:
    events = data.decode().removesuffix("\n\n").split("\n\n")
    return [
        text if (text := each.removeprefix("data: ")) == "[DONE]" else json.loads(text)
        for each in events
    ]


@pytest.fixture
def stream() -> CostedStream:
    return CostedStream(FORM)


def test_what_is_said_passes_at_once_and_untouched(stream: CostedStream) -> None:
    chunks = [said("a"), said("b") + said('"usage"'), said("", "stop", usage=None)]

    assert [stream.take(chunk) for chunk in chunks] == chunks


def test_the_upstreams_own_usage_gets_the_cost(stream: CostedStream) -> None:
    stream.take(said("a", "stop"))

    held = stream.take(event(usage=USAGE) + DONE)
    usage, done = read(stream.ending(None, "0.00012"))

    assert held == b""
    assert usage["usage"] == USAGE
    assert usage["meshgate"] == {"cost_usd": "0.00012"}
    assert done == "[DONE]"


def test_where_the_upstream_told_none_it_is_written(stream: CostedStream) -> None:
    passed = stream.take(said("a", "stop") + DONE)

    usage, done = read(stream.ending(Usage(input_tokens=3, output_tokens=2), "0.1"))

    assert passed == said("a", "stop")
    assert (usage["id"], usage["model"], usage["created"]) == ("c-1", "up", 9)
    assert (usage["choices"], usage["usage"]["prompt_tokens"]) == ([], 3)
    assert usage["meshgate"] == {"cost_usd": "0.1"}
    assert done == "[DONE]"


def test_without_a_price_there_is_the_usage_alone(stream: CostedStream) -> None:
    stream.take(said("a", "stop") + event(usage=USAGE) + DONE)

    usage, _ = read(stream.ending(None, None))

    assert usage["usage"] == USAGE
    assert "meshgate" not in usage


def test_a_usage_that_nobody_knows_is_null(stream: CostedStream) -> None:
    stream.take(said("a", "stop") + DONE)

    usage, _ = read(stream.ending(None, "0"))

    assert (usage["usage"], usage["meshgate"]) == (None, {"cost_usd": "0"})


def test_a_usage_beside_a_choice_is_told_again_with_the_cost(stream: CostedStream) -> None:
    last = said("a", "stop", usage=USAGE)

    passed = stream.take(last + DONE)
    usage, _ = read(stream.ending(Usage(input_tokens=5, output_tokens=7), "1"))

    assert read(passed) == read(last)
    assert usage["choices"] == []


def test_a_usage_before_the_end_holds_nothing_up(stream: CostedStream) -> None:
    early, late = event(usage={"prompt_tokens": 1}), event(usage=USAGE)

    passed = [stream.take(chunk) for chunk in (early, said("a"), late + DONE)]
    usage, _ = read(stream.ending(None, "1"))

    assert passed == [b"", early + said("a"), b""]
    assert usage["usage"] == USAGE


def test_a_cost_of_the_upstreams_own_is_not_told_beside_ours(stream: CostedStream) -> None:
    stream.take(event(usage=USAGE, meshgate={"cost_usd": "9"}) + DONE)

    ending = stream.ending(None, "1")

    assert ending.count(b'"meshgate"') == 1
    assert b'"cost_usd":"1"' in ending


def test_what_was_held_back_comes_before_an_error(stream: CostedStream) -> None:
    stream.take(event(usage=USAGE))

    assert stream.rest() == event(usage=USAGE)
    assert stream.rest() == b""


@given(st.lists(st.sampled_from([said("a"), said("b", "stop"), event(usage=USAGE)]), max_size=6))
def test_nothing_is_lost_or_out_of_order(events: list[bytes]) -> None:
    stream = CostedStream(FORM)
    whole = b"".join(events) + DONE

    passed = b"".join(map(stream.take, [*events, DONE]))

    assert read(passed + stream.rest()) == read(whole)
