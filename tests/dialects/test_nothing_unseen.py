"""Texts where none should stand, or where only few look: guardrails see them all the same."""

import json
from pathlib import Path

import pytest
from dialects.checking import MASK, SECRET, Checker, shown

from meshgate.dialects import sse
from meshgate.dialects.inspection import inspection

HERE = Path(__file__).parent
TEXT = f"the word is {SECRET}!"
ANTHROPIC = HERE / "golden" / "anthropic" / "thinking.sse"
RESPONSES = HERE / "corpus" / "openai_responses" / "citations.sse"
GEMINI = HERE / "corpus" / "gemini_generate" / "text.sse"
UNKNOWN = {"type": "content_block_note", "index": 0, "note": {"said": TEXT}}
OPENING = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": TEXT}]}


def masked(cut):
    texts = {
        each.locator: each.text.replace(SECRET, MASK)
        for each in cut.segments
        if SECRET in each.text
    }
    return cut.masked(texts)


def events_of(path):
    return [json.loads(event.data) for event in sse.EventReader().feed(path.read_bytes())]


def seen(dialect, events):
    chunks = [sse.write(sse.Event(json.dumps(event).encode())) for event in events]
    stream, checker = inspection(dialect).stream(), Checker()
    return shown(stream, chunks, checker.released)


def anthropic(number, **members):
    """A stream of which one event is with other members."""
    events = events_of(ANTHROPIC)
    events[number] |= members
    return events


def at(kind):
    return next(at for at, each in enumerate(events_of(ANTHROPIC)) if kind in json.dumps(each))


@pytest.mark.parametrize(
    "events",
    [
        [*events_of(ANTHROPIC)[:2], UNKNOWN, *events_of(ANTHROPIC)[2:]],
        anthropic(at("message_start"), message={"id": "m", "usage": {}} | OPENING),
        anthropic(at("message_delta"), delta={"stop_reason": "end_turn", "note": TEXT}),
        anthropic(at("message_stop"), note=TEXT),
        anthropic(
            at("signature_delta"),
            delta={"type": "signature_delta", "signature": "c2ln", "note": TEXT, "text": TEXT},
        ),
    ],
    ids=["unknown", "opening", "ending", "stop", "signature"],
)
def test_all_of_anthropics_events_are_looked_at(events):
    told = seen("anthropic_messages", events)

    assert SECRET.encode() not in told
    assert MASK.encode() in told


def test_what_a_part_of_a_response_cites_is_looked_at_when_the_part_is_told_again():
    events = events_of(RESPONSES)
    parts = [each for each in events if each["type"] == "response.content_part.done"]
    for event in parts:
        event["part"] |= {"annotations": [{"type": "url_citation", "title": TEXT}]}

    told = seen("openai_responses", events)

    assert parts
    assert SECRET.encode() not in told
    assert told.count(MASK.encode()) == len(parts)


def test_all_of_geminis_candidates_is_looked_at_as_they_come():
    events = events_of(GEMINI)
    events[-1]["candidates"][0]["finishMessage"] = TEXT

    told = seen("gemini_generate", events)

    assert SECRET.encode() not in told
    assert MASK.encode() in told


@pytest.mark.parametrize(
    "member",
    [
        {"finishMessage": TEXT},
        {"groundingMetadata": {"groundingChunks": [{"retrievedContext": {"text": TEXT}}]}},
        {"citationMetadata": {"citations": [{"title": TEXT}]}},
        {"urlContextMetadata": {"urlMetadata": [{"retrievedUrl": TEXT}]}},
    ],
)
def test_what_geminis_answers_are_grounded_on_is_looked_at(member):
    content = {"role": "model", "parts": [{"text": "Hi"}]}
    body = json.dumps({"candidates": [{"content": content, "finishReason": "STOP"} | member]})

    told = masked(inspection("gemini_generate").cut_answer(body.encode()))

    assert SECRET.encode() not in told
    candidate = json.loads(told)["candidates"][0]
    assert candidate["content"] == content
    assert MASK in str(candidate) or candidate[next(iter(member))] is None


def test_all_that_a_function_of_geminis_gave_back_is_looked_at():
    picture = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    given = {"name": "f", "response": {}, "parts": [{"text": TEXT}, picture]}
    body = json.dumps({"contents": [{"parts": [{"functionResponse": given}]}]})

    told = json.loads(masked(inspection("gemini_generate").cut_request(body.encode())))

    parts = told["contents"][0]["parts"][0]["functionResponse"]["parts"]
    assert parts == [{"text": TEXT.replace(SECRET, MASK)}, picture]
