"""Streams that are looked at: whatever is held back, clients get the masked whole, in legal form."""

import json
from typing import Any

import pytest
from dialects.checking import (
    MASK,
    SECRET,
    Checker,
    masked,
    openai_call,
    openai_chunk,
    openai_texts,
    shown,
    typed_texts,
    usage_chunk,
)
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects import grammar
from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.inspection import inspection
from meshgate.dialects.meshgate_chat import read_response
from meshgate.dialects.openai_chat import grammar as openai_grammar
from meshgate.dialects.openai_choices.chunks import DONE
from meshgate.dialects.segments import SegmentKind
from meshgate.runtime.errors import UnsupportedError
from meshgate.v1 import chat_pb2

words = st.sampled_from([SECRET, "hunter", "2", "h", " ", "the ", "ß€😀", "unter2"])
texts = st.lists(words, max_size=8).map("".join)
values = st.dictionaries(st.sampled_from("abc"), texts, max_size=3)


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """A text in pieces."""
    at = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    return [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]


@st.composite
def interleaved(draw: st.DrawFn, queues: list[list[Any]]) -> list[Any]:
    """All items of some queues, each in its own order."""
    queues = [list(queue) for queue in queues if queue]
    merged = []
    while queues:
        queue = draw(st.sampled_from(queues))
        merged.append(queue.pop(0))
        queues = [queue for queue in queues if queue]
    return merged


@st.composite
def chunked(draw: st.DrawFn, events: list[bytes]) -> list[bytes]:
    """Whole events, several at a time."""
    at = sorted(draw(st.sets(st.integers(0, len(events)), max_size=6)))
    return [b"".join(events[a:b]) for a, b in zip([0, *at], [*at, len(events)], strict=True)]


@st.composite
def openai_choice(draw: st.DrawFn, index: int) -> list[bytes]:
    """The events of one choice: texts and tool calls in any order between role and finish."""
    queues: list[list[Any]] = []
    for kind in ("content", "reasoning_content", "refusal"):
        pieces = draw(cut(draw(texts)))
        queues.append([openai_chunk(index, **{kind: piece}) for piece in pieces])
    for number in range(draw(st.integers(0, 2))):
        pieces = draw(cut(json.dumps(draw(values))))
        head = openai_call(number, "", id=f"call{number}", type="function", name="f")
        fragments = [openai_call(number, piece) for piece in pieces]
        queues.append([openai_chunk(index, tool_calls=[call]) for call in [head, *fragments]])
    events = draw(interleaved(queues))
    opening = openai_chunk(index, role="assistant", content="")
    last_words = draw(st.sampled_from([{}, {"content": "2 and out"}]))
    return [opening, *events, openai_chunk(index, "stop", **last_words)]


@st.composite
def openai_stream(draw: st.DrawFn) -> list[bytes]:
    choices = [draw(openai_choice(index)) for index in range(draw(st.integers(1, 2)))]
    return draw(chunked([*draw(interleaved(choices)), usage_chunk(), DONE]))


@st.composite
def typed_stream(draw: st.DrawFn) -> list[bytes]:
    queues: list[list[Any]] = []
    for kind in ("text_delta", "refusal_delta"):
        pieces = draw(cut(draw(texts)))
        queues.append([chat_pb2.ChatEvent(**{kind: piece}) for piece in pieces])
    thoughts = []
    for _ in range(draw(st.integers(0, 2))):
        thoughts += [chat_pb2.ChatEvent(reasoning_delta=it) for it in draw(cut(draw(texts)))]
        thoughts.append(chat_pb2.ChatEvent(reasoning_end={"signature": b"s", "id": "t"}))
    queues.append(thoughts)
    cited = [chat_pb2.Citation(quoted=it, title="t") for it in draw(st.lists(texts, max_size=2))]
    queues.append([chat_pb2.ChatEvent(citation=it) for it in cited])
    if draw(st.booleans()):
        delta = chat_pb2.ToolCallDelta(index=0, id="call0", name="f")
        pieces = draw(cut(json.dumps(draw(values))))
        deltas = [delta] + [chat_pb2.ToolCallDelta(arguments_fragment=piece) for piece in pieces]
        queues.append([chat_pb2.ChatEvent(tool_call_delta=delta) for delta in deltas])
    started = chat_pb2.ChatEvent(started=chat_pb2.ChatStarted(id="a", served_model="m"))
    finished = chat_pb2.ChatEvent(finished=chat_pb2.ChatFinished(reason="FINISH_REASON_STOP"))
    events = [started, *draw(interleaved(queues)), finished]
    for number, event in enumerate(events):
        event.sequence_number = number
    return draw(chunked([chat_pb2.ChatEvents(events=[e]).SerializeToString() for e in events]))


def is_json(text: str) -> bool:
    return isinstance(json.loads(text), dict)


def openai_stream_of(*chunks: bytes, checker: Checker | None = None) -> bytes:
    checker = checker or Checker()
    return shown(inspection("openai_chat").stream(), chunks, checker.released)


@given(openai_stream(), st.integers(0, 30))
def test_what_a_client_puts_together_is_the_masked_whole(chunks: list[bytes], delay: int) -> None:
    checker = Checker(delay)

    stream = openai_stream_of(*chunks, checker=checker)

    openai_grammar.check(stream)
    expected = {where: masked(text) for where, text in openai_texts(b"".join(chunks)).items()}
    assert openai_texts(stream) == expected
    assert all(is_json(text) for (_, what), text in expected.items() if isinstance(what, int))
    assert not checker._held


@given(typed_stream(), st.integers(0, 30))
def test_the_same_holds_for_the_typed_api(chunks: list[bytes], delay: int) -> None:
    checker = Checker(delay)

    stream = shown(inspection("meshgate_chat").stream(), chunks, checker.released)

    events = chat_pb2.ChatEvents.FromString(stream).events
    assert [event.sequence_number for event in events] == list(range(len(events)))
    reader = read_response.StreamReader()
    grammar.check([*reader.feed(stream), *reader.close()])
    expected = {where: masked(text) for where, text in typed_texts(b"".join(chunks)).items()}
    assert typed_texts(stream) == expected
    assert not checker._held


@pytest.mark.parametrize(("thought", "signature"), [(SECRET, b""), ("harmless", b"proof")])
def test_a_thought_that_is_not_shown_as_it_was_loses_its_proof(thought, signature) -> None:
    end = chat_pb2.ChatEvent(reasoning_end={"signature": b"proof", "id": "t"})
    events = [chat_pb2.ChatEvent(reasoning_delta=piece) for piece in (thought[:3], thought[3:])]
    chunk = chat_pb2.ChatEvents(events=[*events, end]).SerializeToString()

    stream = shown(inspection("meshgate_chat").stream(), [chunk, chunk], Checker().released)

    ends = [
        event.reasoning_end
        for event in chat_pb2.ChatEvents.FromString(stream).events
        if event.HasField("reasoning_end")
    ]
    assert [each.signature for each in ends] == [signature, signature]


@pytest.mark.parametrize(("thought", "signature"), [(SECRET, None), ("harmless", "proof")])
@pytest.mark.parametrize("is_apart", [True, False])
def test_so_does_one_of_a_chat_completion(thought, signature, is_apart) -> None:
    pieces = [{"text": thought[:3]}, {"text": thought[3:], "signature": "proof"}]
    if is_apart:
        pieces[1:] = [{"text": thought[3:]}, {"signature": "proof"}]
    details = [{"type": "reasoning.text", "index": 0, **piece} for piece in pieces]
    chunks = [openai_chunk(role="assistant", reasoning_details=[it]) for it in details]

    stream = openai_stream_of(*chunks, openai_chunk(finish="stop", content="so"), DONE)

    told = [
        detail
        for event in stream.split(b"\n\n")
        if event.startswith(b"data: {")
        for choice in json.loads(event[6:])["choices"]
        for detail in choice["delta"].get("reasoning_details", ())
    ]
    assert "".join(detail.get("text", "") for detail in told) == masked(thought)
    assert [it["signature"] for it in told if "signature" in it] == [signature]


def test_a_thought_that_is_shown_keeps_its_proof_beside_one_that_is_not() -> None:
    chunks = [
        openai_chunk(
            role="assistant",
            reasoning_details=[{"type": "reasoning.text", "index": at, "text": text}],
        )
        + openai_chunk(
            role="assistant",
            reasoning_details=[{"type": "reasoning.text", "index": at, "signature": f"p{at}"}],
        )
        for at, text in enumerate(["harmless", SECRET])
    ]

    stream = openai_stream_of(*chunks, openai_chunk(finish="stop"), DONE)

    assert b'"p0"' in stream
    assert b'"p1"' not in stream


@given(openai_stream())
def test_what_is_released_at_once_passes_byte_for_byte(chunks: list[bytes]) -> None:
    stream = shown(inspection("openai_chat").stream(), chunks, lambda piece: piece.text)

    assert stream == b"".join(chunks)


@given(openai_stream(), st.data())
def test_wherever_a_stream_is_closed_early_all_that_was_held_comes_out(
    chunks: list[bytes], data: st.DataObject
) -> None:
    taken = chunks[: data.draw(st.integers(0, len(chunks)))]
    inspected, checker = inspection("openai_chat").stream(), Checker(10)
    stream = shown(inspected, taken, checker.released)

    closing = inspected.closing()
    stream += closing.written([checker.released(piece) for piece in closing.pieces])

    expected = {where: masked(text) for where, text in openai_texts(b"".join(taken)).items()}
    assert openai_texts(stream) == expected


def test_held_text_comes_before_the_finish_reason() -> None:
    stream = openai_stream_of(
        openai_chunk(role="assistant", content="I say hunt"), openai_chunk(finish="stop"), DONE
    )

    events = [json.loads(line[6:]) for line in stream.split(b"\n\n")[:-2]]
    said = [event["choices"][0] for event in events]
    assert [choice["delta"].get("content") for choice in said] == ["I sa", "y hunt", None]
    assert [choice["finish_reason"] for choice in said] == [None, None, "stop"]
    assert {event["id"] for event in events} == {"c1"}


def test_a_choice_that_stands_twice_in_a_chunk_ends_once() -> None:
    first, last = (
        json.loads(openai_chunk(finish=finish, role="assistant", content=text)[6:])
        for text, finish in (("hunt", None), ("er2", "stop"))
    )
    both = first | {"choices": first["choices"] + last["choices"]}

    stream = openai_stream_of(b"data: " + json.dumps(both).encode() + b"\n\n", DONE)

    openai_grammar.check(stream)
    assert openai_texts(stream) == {(0, "content"): MASK}


def test_tool_calls_are_told_apart_by_their_index() -> None:
    calls = [openai_call(1, SECRET), openai_call(0, "x")]
    checker = Checker()

    openai_stream_of(openai_chunk(role="assistant", tool_calls=calls), checker=checker)

    assert checker.kinds == {
        "choices[0].delta.tool_calls[1].function.arguments": SegmentKind.JSON,
        "choices[0].delta.tool_calls[0].function.arguments": SegmentKind.JSON,
    }


def test_token_probabilities_are_taken_out_for_they_tell_the_text_again() -> None:
    event = json.loads(openai_chunk(role="assistant", content="a")[6:])
    event["choices"][0]["logprobs"] = {"content": [{"token": SECRET}]}

    stream = openai_stream_of(b"data: " + json.dumps(event).encode() + b"\n\n")

    assert json.loads(stream[6:])["choices"][0]["logprobs"] is None
    assert SECRET.encode() not in stream


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning": SECRET},
        {"words_of_their_own": SECRET},
        {"details": [{"summary": SECRET}]},
        {"content": [{"type": "text", "text": SECRET}]},
        {"content": [SECRET]},
        {"function_call": {"arguments": SECRET}},
        {"audio": {"transcript": SECRET}},
        {"tool_calls": SECRET},
        {"tool_calls": [SECRET]},
        {"tool_calls": [{"custom": {"input": SECRET}}]},
    ],
)
def test_nothing_that_a_delta_says_goes_unseen(delta: dict[str, Any]) -> None:
    stream = openai_stream_of(openai_chunk(**delta), openai_chunk(finish="stop"), DONE)

    assert SECRET.encode() not in stream
    assert MASK.encode() in stream


def test_a_name_that_is_not_the_apis_own_is_in_no_channels_name() -> None:
    checker = Checker()

    openai_stream_of(openai_chunk(**{SECRET: "a", "other": "b"}), checker=checker)

    assert len(checker.kinds) == 2
    assert not any(SECRET in channel for channel in checker.kinds)


def test_an_event_that_is_no_chunk_is_refused() -> None:
    with pytest.raises(MalformedAnswerError):
        openai_stream_of(b"data: [1]\n\n")


def test_embeddings_have_no_streams() -> None:
    with pytest.raises(UnsupportedError):
        inspection("openai_embeddings").stream()
