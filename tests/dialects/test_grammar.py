import json

import pytest
from dialects.neutral_values import streams
from hypothesis import given, settings

from meshgate.dialects.grammar import GrammarError, check
from meshgate.dialects.neutral import Finished, FinishReason, Started, TextDelta, ToolCallDelta
from meshgate.dialects.openai_chat import grammar as openai_chat
from meshgate.dialects.openai_chat.write_response import StreamWriter

STARTED = Started(id="1", served_model="m")
TEXT = TextDelta("a")
FINISHED = Finished(reason=FinishReason.STOP)
CALL = ToolCallDelta(index=0, id="c", name="f")


@given(streams())
@settings(deadline=None)
def test_whole_streams_are_legal_in_both_grammars(events):
    written = StreamWriter(created=1, include_usage=True).write(events)

    check(events)
    openai_chat.check(written)


@pytest.mark.parametrize(
    "events",
    [
        [],
        [STARTED],
        [STARTED, TEXT],
        [TEXT, FINISHED],
        [FINISHED],
        [STARTED, STARTED, FINISHED],
        [STARTED, FINISHED, TEXT],
        [STARTED, FINISHED, FINISHED],
        [STARTED, ToolCallDelta(index=0, arguments_fragment="x"), FINISHED],
        [STARTED, ToolCallDelta(index=1, id="c", name="f"), FINISHED],
        [STARTED, CALL, CALL, FINISHED],
        [STARTED, ToolCallDelta(index=-1, id="c", name="f"), FINISHED],
    ],
)
def test_streams_that_break_the_grammar_are_found(events):
    with pytest.raises(GrammarError):
        check(events)


def chunk(delta=None, finish_reason=None, index=0, **members):
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish_reason}
    whole = {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }
    return b"data: " + json.dumps(whole | members).encode() + b"\n\n"


ROLE = chunk({"role": "assistant", "content": ""})
WORD = chunk({"content": "a"})
STOP = chunk(finish_reason="stop")
USAGE = chunk(choices=[], usage={"prompt_tokens": 1})
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"broken","type":"server_error"}}\n\n'


@pytest.mark.parametrize(
    "stream",
    [
        ROLE + WORD + STOP + DONE,
        ROLE + WORD + STOP + USAGE + DONE,
        ROLE + chunk(finish_reason="stop", usage={"prompt_tokens": 1}) + DONE,
        ROLE + chunk({"role": "assistant"}, index=1) + STOP + chunk({}, "length", 1) + DONE,
        ROLE + WORD + ERROR,
        ERROR,
    ],
)
def test_legal_chunk_streams_pass(stream):
    openai_chat.check(stream)


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        ROLE + WORD,
        ROLE + STOP,
        ROLE + STOP + b"data: [DONE]",
        ROLE + STOP + DONE + DONE,
        ROLE + STOP + DONE + WORD,
        ROLE + WORD + DONE,
        DONE,
        WORD + STOP + DONE,
        ROLE + STOP + STOP + DONE,
        ROLE + STOP + WORD + DONE,
        ROLE + USAGE + STOP + DONE,
        ROLE + STOP + USAGE + USAGE + DONE,
        ROLE + chunk({"role": "assistant"}, index=1) + STOP + DONE,
        ROLE + chunk({"content": "a"}, id="2") + STOP + DONE,
        ROLE + chunk({"content": "a"}, model="n") + STOP + DONE,
        ROLE + chunk(finish_reason="whatever") + DONE,
        ROLE + ERROR + DONE,
        ROLE + b"data: <html>\n\n" + STOP + DONE,
        ROLE + b"data: {}\n\n" + STOP + DONE,
    ],
)
def test_chunk_streams_that_break_the_grammar_are_found(stream):
    with pytest.raises(GrammarError):
        openai_chat.check(stream)


def call(index, call_id=None, name=None):
    return {"index": index, "id": call_id, "function": {"name": name, "arguments": "x"}}


@pytest.mark.parametrize(
    "calls",
    [
        [call(0)],
        [call(0, "a")],
        [call(0, None, "f")],
        [call(1, "a", "f")],
        [call(0, "a", "f"), call(0, "a", "f")],
        [call(0, "a", "f"), call(1, "a", "f")],
        [call(0, "a", "f"), call(2, "b", "f")],
    ],
)
def test_tool_calls_that_a_client_cannot_put_together_are_found(calls):
    fragments = [chunk({"tool_calls": [each]}) for each in calls]
    stream = [chunk({"role": "assistant"}), *fragments, chunk(finish_reason="tool_calls")]

    with pytest.raises(GrammarError, match="tool call"):
        openai_chat.check(b"".join([*stream, b"data: [DONE]\n\n"]))


def test_tool_calls_may_be_told_in_turns():
    calls = [call(1, "b", "g"), call(0, "a", "f"), call(1), call(0)]
    stream = [chunk({"role": "assistant"}), *(chunk({"tool_calls": [it]}) for it in calls)]
    stream += [chunk(finish_reason="tool_calls"), b"data: [DONE]\n\n"]

    openai_chat.check(b"".join(stream))
