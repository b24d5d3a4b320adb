"""What goes wrong within streams, in both dialects that callers stream in."""

import pytest
from msgspec.structs import replace
from provider.attempts import attempt, streamed, streamed_chat, typed_chat
from upstream import (
    Behaviour,
    Close,
    Cut,
    Endless,
    ErrorEvent,
    Framing,
    Hang,
    Lie,
    Refuse,
    SlowHead,
)

from meshgate.dialects.grammar import GrammarError
from meshgate.dialects.grammar import check as check_events
from meshgate.dialects.meshgate_chat.read_response import StreamReader
from meshgate.dialects.openai_chat import grammar
from meshgate.provider.phases import PhaseTimeouts

TEXT = "The quick brown fox jumps over the lazy dog."
ENOUGH = 1 << 20

BEFORE_THE_FIRST_EVENT = [
    (Refuse(400), "invalid_request"),
    (Refuse(401), "authentication"),
    (Refuse(404), "not_found"),
    (Refuse(429), "rate_limited"),
    (Refuse(500, body="html"), "server_error"),
    (Refuse(503, body="empty"), "overloaded"),
    (Close(by="eof"), "connection"),
    (Close(by="reset"), "connection"),
    (Hang(at="head"), "timeout"),
    (Hang(at="body"), "timeout"),
    (Cut(after_events=0, by="eof"), "connection"),
    (Cut(after_events=0, by="reset"), "connection"),
    (Cut(after_events=0, by="end"), "connection"),
    (ErrorEvent(after_events=0), "server_error"),
    (Lie("error_json"), "server_error"),
    (Lie("html"), "server_error"),
    (Lie("empty"), "server_error"),
    (Lie("json_for_stream"), "server_error"),
]
AFTER_THE_FIRST_EVENT = [
    (Hang(at="event", after_events=2), "timeout"),
    (Cut(after_events=3, by="eof"), "connection"),
    (Cut(after_events=3, by="reset"), "connection"),
    (Cut(after_events=3, by="end"), "connection"),
    (ErrorEvent(after_events=3), "server_error"),
    (ErrorEvent(after_events=3, code="rate_limit_exceeded"), "rate_limited"),
    (Endless(), "timeout"),
    (Lie("truncated_json"), "server_error"),
    (Lie("invalid_json"), "server_error"),
    (Lie("invalid_utf8"), "server_error"),
]


@pytest.fixture(params=["openai_chat", "meshgate_chat"])
def wanted(request):
    body = streamed_chat() if request.param == "openai_chat" else typed_chat()
    return attempt(body, request.param, total_seconds=0.5)


@pytest.mark.parametrize(("fault", "kind"), BEFORE_THE_FIRST_EVENT, ids=str)
async def test_nothing_comes_where_the_first_event_does_not(upstream, fake, wanted, fault, kind):
    fake.default(Behaviour(fault=fault))

    stream = await streamed(upstream, wanted)

    assert stream.head is None
    assert not stream.chunks
    assert stream.failure.kind.value == kind
    assert stream.failure.upstream_status == getattr(fault, "status", 0)


@pytest.mark.parametrize(("fault", "kind"), AFTER_THE_FIRST_EVENT, ids=str)
async def test_what_breaks_later_never_looks_whole(upstream, fake, wanted, fault, kind):
    fake.default(Behaviour(fault=fault))

    stream = await streamed(upstream, wanted)

    assert stream.head
    assert stream.done is None
    assert stream.failure.kind.value == kind
    assert not looks_whole(stream, wanted)


@pytest.mark.parametrize("kind", ["truncated_json", "invalid_json", "invalid_utf8"])
@pytest.mark.parametrize("events", [1, 2, ENOUGH], ids=["one", "two", "all"])
async def test_a_broken_event_is_found_however_many_come_in_a_read(
    upstream, fake, wanted, kind, events
):
    fake.default(Behaviour(fault=Lie(kind), framing=Framing(events_per_write=events)))

    stream = await streamed(upstream, wanted)

    assert stream.failure.kind.value == "server_error"
    assert not looks_whole(stream, wanted)


async def test_a_slow_head_of_a_stream_is_a_head(upstream, fake, wanted):
    fake.default(Behaviour(fault=SlowHead(interval_seconds=0)))

    stream = await streamed(upstream, wanted)

    assert looks_whole(stream, wanted)


@pytest.mark.parametrize(
    "framing",
    [
        Framing(newline="\r\n"),
        Framing(newline="\r"),
        Framing(start="bom"),
        Framing(comments="before_events"),
        Framing(split_bytes=1),
        Framing(split_bytes=7, newline="\r\n", comments="before_events", start="bom"),
        Framing(events_per_write=3),
        Framing(events_per_write=ENOUGH),
        Framing(done="missing"),
    ],
    ids=str,
)
async def test_a_good_stream_is_whole_in_both_dialects(upstream, fake, wanted, framing):
    fake.default(Behaviour(framing=framing))

    # A byte at a time takes a busy machine longer than the faults are waited for.
    stream = await streamed(upstream, replace(wanted, timeouts=PhaseTimeouts()))

    assert stream.failure is None
    assert looks_whole(stream, wanted)


def looks_whole(stream, wanted):
    """Whether a client would take what it got for a whole answer."""
    try:
        if wanted.dialect == "openai_chat":
            grammar.check(stream.body)
            return stream.text() == TEXT
        reader = StreamReader()
        events = [event for chunk in stream.chunks for event in reader.feed(chunk)]
        check_events(events)
    except GrammarError:
        return False
    return "".join(getattr(event, "text", "") for event in events) == TEXT
