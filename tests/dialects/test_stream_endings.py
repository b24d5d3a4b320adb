"""Streams that the gateway ends before the upstream does."""

import json

import pytest
from dialects.neutral_values import streams, usages
from hypothesis import given, settings
from hypothesis import strategies as st

from meshgate.dialects import grammar, sse
from meshgate.dialects.meshgate_chat.read_response import StreamReader
from meshgate.dialects.meshgate_chat.write_response import StreamWriter as TypedWriter
from meshgate.dialects.metering import meter
from meshgate.dialects.neutral import (
    Finished,
    FinishReason,
    Started,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from meshgate.dialects.openai_chat import grammar as chunk_grammar
from meshgate.dialects.openai_chat.write_response import StreamWriter
from meshgate.runtime.errors import UnsupportedError
from meshgate.v1 import chat_pb2

LENGTH = FinishReason.LENGTH
USAGE = Usage(input_tokens=3, output_tokens=4)
STARTED = Started(id="chat-1", served_model="m1")
CALL = ToolCallDelta(index=0, id="c", name="f", arguments_fragment='{"a')
WANTED = st.booleans()


def tally(dialect="openai_chat", chunks=()):
    counted = meter(dialect).tally(answer_id="chat-0", served_model="m0", created=5)
    for chunk in chunks:
        counted.take(chunk)
    return counted


def chunk(*choices, **members):
    """A chunk of several choices, each an index, a delta and a finish reason."""
    whole = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 9,
        "model": "m",
        "choices": [
            {"index": index, "delta": delta, "finish_reason": reason}
            for index, delta, reason in choices
        ],
    }
    return b"data: " + json.dumps(whole | members).encode() + b"\n\n"


def ended(chunks, usage=USAGE, include_usage=False):
    """A stream that is cut after the chunks and ended, as the caller sees it."""
    return b"".join(chunks) + tally(chunks=chunks).ending(
        LENGTH, usage, include_usage=include_usage
    )


def chunks_of(stream):
    """The JSON of a stream that ends well."""
    events = sse.EventReader().feed(stream)
    assert events[-1].data == b"[DONE]"
    return [json.loads(event.data) for event in events[:-1]]


@st.composite
def choice_streams(draw):
    """The events of a stream of several choices, as OpenAI's grammar allows them."""
    running, finished, written = set(), set(), []
    wanted = draw(st.integers(1, 4))
    for index in draw(st.lists(st.integers(0, wanted - 1), max_size=12)):
        if index in finished:
            continue
        delta = {"content": draw(st.text(max_size=3))}
        if index not in running:
            delta["role"] = "assistant"
        running.add(index)
        reason = draw(st.sampled_from([None, None, "stop", "tool_calls"]))
        if reason:
            running.discard(index)
            finished.add(index)
        written.append(chunk((index, delta, reason)))
    written += [chunk((index, {}, "stop")) for index in sorted(running)]
    if running or finished:
        written += draw(st.sampled_from([[], [chunk(usage={"prompt_tokens": 1})]]))
        written.append(b"data: [DONE]\n\n")
    return written


@given(choice_streams(), st.data(), WANTED)
@settings(deadline=None)
def test_a_stream_of_chunks_cut_after_any_event_ends_legally(events, data, wanted):
    cut = data.draw(st.integers(0, len(events)))

    stream = ended(events[:cut], include_usage=wanted)

    chunk_grammar.check(stream)
    chunks_of(stream)


@given(streams(), st.data(), usages, WANTED)
@settings(deadline=None)
def test_a_written_stream_cut_after_any_event_ends_legally(events, data, usage, wanted):
    cut = data.draw(st.integers(0, len(events)))
    writer = StreamWriter(created=1, include_usage=wanted)
    chunks = [writer.write([event]) for event in events[:cut]]

    stream = ended(chunks, usage, include_usage=wanted)

    chunk_grammar.check(stream)
    told = [members for members in chunks_of(stream) if members.get("usage")]
    whole = cut == len(events)
    assert len(told) == (wanted and (not whole or events[-1].usage is not None))


@given(streams(), st.data(), usages)
@settings(deadline=None)
def test_a_typed_stream_cut_after_any_event_ends_legally(events, data, usage):
    cut = data.draw(st.integers(0, len(events)))
    writer = TypedWriter(created=1, include_usage=True)
    chunks = [writer.write([event]) for event in events[:cut]]

    ending = tally("meshgate_chat", chunks).ending(LENGTH, usage, include_usage=False)

    whole = b"".join(chunks) + ending
    read = StreamReader().feed(whole)
    grammar.check(read)
    numbers = [event.sequence_number for event in chat_pb2.ChatEvents.FromString(whole).events]
    assert numbers == list(range(len(read)))
    assert cut == len(events) or read[-1] == Finished(reason=LENGTH, usage=usage)


def test_a_stream_that_has_not_begun_is_begun_and_ended():
    begun, finished, told = chunks_of(ended([], include_usage=True))

    assert {begun["id"], finished["id"], told["id"]} == {"chat-0"}
    assert (begun["model"], begun["created"]) == ("m0", 5)
    assert begun["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert finished["choices"][0]["finish_reason"] == "length"
    assert told["choices"] == []
    assert told["usage"]["completion_tokens"] == 4


def test_a_typed_stream_that_has_not_begun_is_begun_and_ended():
    ending = tally("meshgate_chat").ending(LENGTH, USAGE, include_usage=False)

    assert StreamReader().feed(ending) == [
        Started(id="chat-0", served_model="m0"),
        Finished(reason=LENGTH, usage=USAGE),
    ]


def test_an_ending_says_of_itself_what_the_stream_does():
    written = StreamWriter(created=7, include_usage=False).write([STARTED, TextDelta("a"), CALL])

    *_, last = chunks_of(ended([written]))

    assert (last["id"], last["model"], last["created"]) == ("chat-1", "m1", 7)
    assert last["choices"][0]["finish_reason"] == "length"


def test_what_a_chunk_leaves_out_is_told_all_the_same():
    chunks = [b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n']

    (last,) = chunks_of(tally(chunks=chunks).ending(LENGTH, USAGE, include_usage=False))

    assert (last["id"], last["model"], last["created"]) == ("chat-0", "m0", 5)


def test_the_nameless_chunk_that_azure_sends_first_names_nothing():
    first = chunk(id="", model="", created=0, prompt_filter_results=[])
    chunks = [first, chunk((0, {"role": "assistant"}, None))]

    (last,) = chunks_of(tally(chunks=chunks).ending(LENGTH, USAGE, include_usage=False))

    assert (last["id"], last["model"], last["created"]) == ("1", "m", 9)


def test_only_choices_that_run_are_finished():
    begun = [chunk((index, {"role": "assistant"}, None)) for index in (0, 2, 1)]

    *_, first, last = chunks_of(ended([*begun, chunk((2, {}, "stop"))]))

    choices = [(it["choices"][0]["index"], it["choices"][0]["delta"]) for it in (first, last)]
    assert choices == [(0, {}), (1, {})]


@pytest.mark.parametrize(("wanted", "told"), [(False, 0), (True, 1)])
def test_usage_is_told_once_to_who_wants_it(wanted, told):
    finished = [chunk((0, {"role": "assistant"}, None)), chunk((0, {}, "stop"))]
    before = ended(finished, include_usage=wanted)
    after = ended([*finished, chunk(usage={"prompt_tokens": 1})], include_usage=wanted)

    assert sum("usage" in it for it in chunks_of(before)) == told
    assert sum("usage" in it for it in chunks_of(after)) == 1


def test_usage_so_far_is_not_the_usage():
    running = chunk((0, {"role": "assistant"}, None), usage={"prompt_tokens": 1})

    *_, last = chunks_of(tally(chunks=[running]).ending(LENGTH, USAGE, include_usage=True))

    assert last["usage"]["completion_tokens"] == 4


def test_usage_that_is_not_known_is_not_told():
    assert all("usage" not in it for it in chunks_of(ended([], None, include_usage=True)))


@pytest.mark.parametrize(
    "last",
    [b"data: [DONE]\n\n", b'data: {"error":{"message":"broken","type":"server_error"}}\n\n'],
)
def test_a_stream_that_has_ended_is_owed_nothing(last):
    counted = tally(chunks=[chunk((0, {"role": "assistant"}, None)), last])

    assert counted.ended
    assert counted.ending(LENGTH, USAGE, include_usage=True) == b""


def test_a_typed_stream_that_has_ended_is_owed_nothing():
    events = [STARTED, Finished(reason=FinishReason.STOP)]
    written = TypedWriter(created=1, include_usage=True).write(events)

    counted = tally("meshgate_chat", [written])

    assert counted.ended
    assert counted.ending(LENGTH, USAGE, include_usage=True) == b""


def test_embeddings_have_no_streams_to_end():
    with pytest.raises(UnsupportedError):
        tally("openai_embeddings")
