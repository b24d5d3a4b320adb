"""Gemini's answers: read from upstreams, written to callers, followed on their way."""

import json

import pytest
from dialects.gemini_values import (
    RECORDED,
    SIGNATURE,
    answer,
    call,
    event,
    said_in,
)
from dialects.neutral_values import read_sizes, responses, split, streams
from google.genai import types
from hypothesis import given

from meshgate.dialects import grammar as neutral_grammar
from meshgate.dialects.answers import AnswerGlance, CutStreamError, MalformedAnswerError
from meshgate.dialects.gemini_generate import grammar, json_array, write_response
from meshgate.dialects.gemini_generate.costed_stream import CostedStream
from meshgate.dialects.gemini_generate.errors import write_error
from meshgate.dialects.gemini_generate.passthrough import StreamTracker, glance
from meshgate.dialects.gemini_generate.read_response import StreamReader, read
from meshgate.dialects.gemini_generate.tally import OutputTally
from meshgate.dialects.grammar import GrammarError
from meshgate.dialects.neutral import (
    ChatResponse,
    Citation,
    CitationDelta,
    Finished,
    FinishReason,
    Message,
    Reasoning,
    ReasoningDelta,
    Role,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from meshgate.dialects.plain_calls import arguments_of
from meshgate.dialects.signatures import Signature, seal
from meshgate.dialects.translation import translator
from meshgate.runtime.errors import UpstreamRateLimitedError

USAGE = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 40,
    "candidatesTokenCount": 20,
    "thoughtsTokenCount": 5,
    "toolUsePromptTokenCount": 7,
    "totalTokenCount": 132,
    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}, {"modality": "TEXT"}],
    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 4}],
}
COUNTED = Usage(
    input_tokens=107,
    cached_input_tokens=40,
    output_tokens=25,
    reasoning_tokens=5,
    input_audio_tokens=30,
    output_image_tokens=4,
)
STARTED = Started(id="tTCwac", served_model="gemini-x-001")


def body(*parts, **members):
    return json.dumps(answer(*parts, **members)).encode()


def events_of(data, sizes=()):
    reader = StreamReader()
    events = [each for piece in split(sizes, data) for each in reader.feed(piece)]
    return [*events, *reader.close()]


def written(events):
    writer = write_response.StreamWriter(created=1, include_usage=False)
    return b"".join(writer.write([each]) for each in events)


def tracked(data, sizes=()):
    tracker = StreamTracker()
    passed = b"".join(tracker.feed(piece) for piece in split(sizes, data))
    return tracker, passed + tracker.close()


def test_a_whole_answer_is_read():
    response = read(
        body({"text": "hm", "thought": True}, {"text": "So."}, call(), usageMetadata=USAGE)
    )

    assert response == ChatResponse(
        id="tTCwac",
        served_model="gemini-x-001",
        message=Message(
            role=Role.ASSISTANT,
            parts=(
                Reasoning(text="hm"),
                Text("So."),
                ToolCall(id="call_tTCwac_0", name="weather", arguments_json='{"city": "Paris"}'),
            ),
        ),
        finish_reason=FinishReason.TOOL_CALLS,
        usage=COUNTED,
    )


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER),
        ("SPII", FinishReason.CONTENT_FILTER),
        ("OTHER", FinishReason.UNSPECIFIED),
        ("SOMETHING_NEW", FinishReason.UNSPECIFIED),
    ],
)
def test_every_end_is_understood(word, reason):
    data = body({"text": "x"}, finish=word)

    assert read(data).finish_reason is reason
    assert glance(data).finish_reason is reason


def test_a_prompt_that_is_blocked_has_an_empty_answer():
    data = json.dumps({"promptFeedback": {"blockReason": "SAFETY"}}).encode()

    assert read(data).finish_reason is FinishReason.CONTENT_FILTER
    assert read(data).message.parts == ()
    assert glance(data) == AnswerGlance("", None, FinishReason.CONTENT_FILTER)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"<html>",
        b'{"candidates":[]}',
        body({"text": "x"}, finish=None),
        body(finish="MALFORMED_FUNCTION_CALL"),
        body({"executableCode": {"code": "1"}}),
        body({"inlineData": {"mimeType": "image/png", "data": "aGk="}}),
        body({"text": "x"}).replace(b'"x"', b'"\xff"'),
    ],
)
def test_what_is_no_answer_is_malformed(data):
    with pytest.raises(MalformedAnswerError):
        read(data)


def test_the_recorded_stream_is_read():
    signature = ReasoningDelta(
        "",
        read(body({"text": "x", "thoughtSignature": SIGNATURE})).message.parts[0].signature,
        "gemini_generate",
    )

    assert events_of(RECORDED) == [
        STARTED,
        TextDelta("Hello!"),
        TextDelta(" How can I help"),
        TextDelta("?"),
        signature,
        Finished(reason=FinishReason.STOP, usage=Usage(input_tokens=1, output_tokens=9)),
    ]


@given(read_sizes)
def test_a_stream_is_the_same_however_it_is_split(sizes):
    events = events_of(RECORDED, sizes)
    tracker, passed = tracked(RECORDED, sizes)

    assert events == events_of(RECORDED)
    neutral_grammar.check(events)
    assert said_in(passed) == said_in(RECORDED.replace(b"\r\n", b"\n"))
    assert tracker.usage == Usage(input_tokens=1, output_tokens=9)


@pytest.mark.parametrize("end", [0, 10, 200, len(RECORDED) - 250])
def test_a_cut_stream_never_looks_whole(end):
    with pytest.raises(CutStreamError):
        events_of(RECORDED[:end])
    with pytest.raises(CutStreamError):
        tracked(RECORDED[:end])


def test_an_error_within_a_stream_is_told():
    error = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    data = event(answer({"text": "a"}, finish=None)) + event(error)
    reader, tracker = StreamReader(), StreamTracker()

    events = reader.feed(data)
    passed = tracker.feed(data)

    assert events == [STARTED, TextDelta("a")]
    assert reader.error == tracker.error
    assert tracker.error is not None
    assert (tracker.error.code, tracker.error.type) == ("503", "UNAVAILABLE")
    assert b"error" not in passed
    assert (reader.done, tracker.done) == (False, False)


def test_calls_of_one_stream_are_numbered_and_named_once():
    data = event(answer(call(), finish=None)) + event(answer(call(id="own")))

    events = events_of(data)

    neutral_grammar.check(events)
    calls = [each for each in events if isinstance(each, ToolCallDelta)]
    assert [(each.index, each.id) for each in calls] == [(0, "call_tTCwac_0"), (1, "own")]
    assert events[-1].reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize("model", ["gpt", "x"])
def test_sources_are_told_in_characters(model):
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://x.example", "title": model}}],
        "groundingSupports": [
            {"segment": {"startIndex": 3, "endIndex": 8}, "groundingChunkIndices": [0, 9]}
        ],
    }
    data = answer({"text": "é, fünf"})
    data["candidates"][0]["groundingMetadata"] = grounding

    [text] = read(json.dumps(data).encode()).message.parts

    cited = Citation(uri="https://x.example", title=model, start=2, end=6)
    assert text == Text("é, fünf", (cited,))
    told = json.loads(write_response.write(read(json.dumps(data).encode()), created=1))
    segment = told["candidates"][0]["groundingMetadata"]["groundingSupports"][0]["segment"]
    assert (segment["startIndex"], segment["endIndex"]) == (3, 8)


def test_sources_of_a_stream_come_with_its_end():
    cited = CitationDelta(Citation(title="t", quoted="q", start=0, end=2))
    stream = written([STARTED, TextDelta("äb"), cited, Finished(reason=FinishReason.STOP)])

    grounding = said_in(stream)[-1]["candidates"][0]["groundingMetadata"]
    assert grounding["groundingChunks"] == [{"retrievedContext": {"title": "t", "text": "q"}}]
    assert grounding["groundingSupports"][0]["segment"]["endIndex"] == 3


@given(responses)
def test_what_is_written_the_sdk_reads(response):
    data = write_response.write(response, created=1)

    types.GenerateContentResponse._from_response(response=json.loads(data), kwargs={})
    again = read(data)
    assert again.usage is None or again.usage.input_tokens == response.usage.input_tokens
    assert again.usage is None or again.usage.output_tokens == response.usage.output_tokens
    assert [part for part in again.message.parts if isinstance(part, ToolCall)] == [
        ToolCall(id=part.id, name=part.name, arguments_json=arguments_of(part).decode())
        for part in response.message.parts
        if isinstance(part, ToolCall)
    ]


@given(streams())
def test_every_stream_is_written_by_the_grammar(events):
    stream = written(events)

    grammar.check(stream)
    told = [
        part["text"]
        for chunk in said_in(stream)
        for part in chunk["candidates"][0]["content"]["parts"]
        if "text" in part
    ]
    assert "".join(told) == "".join(getattr(each, "text", "") for each in events)


def test_deltas_are_passed_on_as_they_come():
    writer = write_response.StreamWriter(created=1, include_usage=False)
    writer.write([STARTED])

    first = writer.write([TextDelta("a")])
    begun = writer.write([ToolCallDelta(index=0, id="i", name="f", arguments_fragment='{"a"')])
    more = writer.write([ToolCallDelta(index=0, arguments_fragment=":1}")])
    last = writer.write([TextDelta("b")])

    assert said_in(first)[0]["candidates"][0]["content"]["parts"] == [{"text": "a"}]
    assert begun == more == b""
    assert said_in(last)[0]["candidates"][0]["content"]["parts"] == [
        {"functionCall": {"id": "i", "name": "f", "args": {"a": 1}}},
        {"text": "b"},
    ]


def test_a_thought_that_another_upstream_signed_is_signed_itself():
    thought = Reasoning(text="hm", signature=b"s", origin="anthropic_messages")
    message = Message(role=Role.ASSISTANT, parts=(thought, Text("so")))
    response = ChatResponse(id="i", served_model="m", message=message)

    told = json.loads(write_response.write(response, created=1))

    first, second = told["candidates"][0]["content"]["parts"]
    sealed = types.Part.model_validate(first).thought_signature
    assert sealed == seal(Signature(b"s", "anthropic_messages")).encode()
    assert second == {"text": "so"}


def test_what_gemini_signed_is_signed_again():
    stream = event(answer(call() | {"thoughtSignature": SIGNATURE}))

    told = said_in(written(events_of(stream)))

    [part] = told[0]["candidates"][0]["content"]["parts"]
    assert part["thoughtSignature"] == SIGNATURE
    assert part["functionCall"]["name"] == "weather"


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        event(answer({"text": "x"}, finish=None)),
        event(answer({"text": "x"})) * 2,
        event(answer({})),
        event(answer({"functionCall": {"name": "f"}})),
        event(answer({"text": "x"}))[:-5],
    ],
)
def test_the_grammar_knows_what_is_wrong(stream):
    with pytest.raises(GrammarError):
        grammar.check(stream)


def test_a_stream_is_counted_and_ended_early():
    tally = OutputTally(answer_id="a", served_model="m", created=1)
    tally.take(event(answer({"text": "häl", "thought": True}, {"text": "lo"}, finish=None)))

    ending = tally.ending(FinishReason.LENGTH, Usage(output_tokens=3), include_usage=False)

    assert tally.text_bytes == 6
    assert tally.texts() == ["hällo"]
    [last] = said_in(ending)
    assert last["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert last["usageMetadata"]["candidatesTokenCount"] == 3
    assert (last["responseId"], last["modelVersion"]) == ("tTCwac", "gemini-x-001")
    grammar.check(ending)


def test_a_stream_that_has_ended_is_not_ended_again():
    tally = OutputTally(answer_id="a", served_model="m", created=1)

    tally.take(RECORDED)

    assert tally.ended
    assert tally.ending(FinishReason.LENGTH, None, include_usage=True) == b""


def test_the_end_of_a_stream_tells_its_cost():
    costed = CostedStream()
    data = RECORDED.replace(b"\r\n", b"\n")

    passed = costed.take(data)
    ending = costed.ending(Usage(), "0.01")

    assert len(said_in(passed)) == 3
    [last] = said_in(ending)
    assert last["meshgate"] == {"cost_usd": "0.01"}
    assert last["usageMetadata"]["totalTokenCount"] == 10


def test_an_array_grows_by_each_chunk():
    array = json_array.ArrayWriter()

    whole = b"".join(map(array.write, split([5, 90, 300], RECORDED))) + array.close()

    assert json.loads(whole) == said_in(RECORDED.replace(b"\r\n", b"\n"))


def test_an_array_that_breaks_off_ends_with_the_error():
    array = json_array.ArrayWriter()
    error = UpstreamRateLimitedError("later", retry_after_seconds=1.5)

    whole = array.write(RECORDED) + array.write_error(error)

    assert json.loads(whole)[-1] == json.loads(write_error(error))
    told = json.loads(write_error(error))["error"]
    assert (told["code"], told["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert told["details"][-1]["retryDelay"] == "1.5s"


@given(read_sizes)
def test_openais_stream_becomes_geminis_however_it_is_split(sizes):
    chunks = [
        {"delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None},
        {"delta": {"content": " there"}, "finish_reason": None},
        {"delta": {}, "finish_reason": "length"},
    ]
    data = b"".join(
        event({"id": "c", "created": 1, "model": "m", "choices": [{"index": 0, **chunk}]})
        for chunk in chunks
    )
    stream = translator("gemini_generate", "openai_chat").stream(created=1, include_usage=True)

    out = b"".join(map(stream.feed, split(sizes, data + b"data: [DONE]\n\n"))) + stream.close()

    grammar.check(out)
    texts = [c["candidates"][0]["content"]["parts"][0]["text"] for c in said_in(out)]
    assert "".join(texts) == "Hi there"
    assert said_in(out)[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"
