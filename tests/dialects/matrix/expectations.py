"""What the recorded answers say, whatever dialect they say it in."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from dialects.matrix.vocabulary import CALL, SECOND_CALL

from meshgate.dialects.answer_parts import AnswerParts
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    Finished,
    FinishReason,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    Usage,
)

_WEATHER = ("get_weather", {"city": "Paris"})
_TIME = ("get_time", {"city": "Rome"})


@dataclass(frozen=True)
class Said:
    """What an answer says; ids, and what signatures hold, are each dialect's own.

    `usage` is what went in, what of it was cached, what was put into the cache, what came out, and
    what of that were thoughts.
    """

    text: str = "Hello there!"
    thought: str = ""
    refusal: str = ""
    calls: tuple[tuple[str, Any], ...] = ()
    signatures: int = 0
    redacted: int = 0
    citations: int = 0
    finish_reason: FinishReason = FinishReason.STOP
    usage: tuple[int, ...] = (12, 0, 0, 5, 0)
    stop_sequence: str = ""


def said_by(response: ChatResponse) -> Said:
    """What a plain answer says."""
    return _said(
        response.message.parts, response.finish_reason, response.usage, response.stop_sequence
    )


def said_in(events: Iterable[ChatEvent]) -> Said:
    """What a stream says."""
    parts = AnswerParts()
    end = Finished(reason=FinishReason.UNSPECIFIED)
    for event in events:
        parts.take(event)
        end = event if isinstance(event, Finished) else end
    return _said(parts.whole(), end.reason, end.usage, end.stop_sequence)


def _said(
    parts: Iterable[Part], reason: FinishReason, usage: Usage | None, stop_sequence: str
) -> Said:
    parts = list(parts)
    thoughts = [part for part in parts if isinstance(part, Reasoning)]
    texts = [part for part in parts if isinstance(part, Text)]
    return Said(
        text="".join(part.text for part in texts),
        thought="".join(part.text for part in thoughts),
        refusal="".join(part.text for part in parts if isinstance(part, Refusal)),
        calls=tuple(_call(part) for part in parts if isinstance(part, ToolCall)),
        signatures=sum(bool(part.signature) for part in thoughts),
        redacted=sum(part.is_redacted for part in thoughts),
        citations=sum(len(part.citations) for part in texts),
        finish_reason=reason,
        usage=_counts(usage),
        stop_sequence=stop_sequence,
    )


def _counts(usage: Usage | None) -> tuple[int, ...]:
    if usage is None:
        return ()
    return (
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_creation_input_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
    )


def _call(call: ToolCall) -> tuple[str, Any]:
    if call.is_custom:
        return call.name, call.arguments_json
    return call.name, json.loads(call.arguments_json or "{}")


_TEXT = Said()
_CALL = Said(text="", calls=(_WEATHER,), finish_reason=FinishReason.TOOL_CALLS)
_CALLS = replace(_CALL, calls=(_WEATHER, _TIME))
_THOUGHTS = Said(thought="Let me think.")
_FILTERED = Said(finish_reason=FinishReason.CONTENT_FILTER)

_OF_ALL: dict[str, Said] = {
    "text": _TEXT,
    "length": Said(finish_reason=FinishReason.LENGTH),
    "filtered": _FILTERED,
    "usage": Said(usage=(12, 4, 0, 5, 2)),
    "refusal": Said(text="", refusal="I can't do that."),
    "call": _CALL,
    "whole_call": _CALL,
    "late_call": _CALL,
    "parallel_calls": _CALLS,
    "thoughts": _THOUGHTS,
    "citations": Said(citations=1),
    "without_done": _TEXT,
    "stop_sequence": _TEXT,
    "custom_call": Said(
        text="", calls=(("run", "print(1)"),), finish_reason=FinishReason.TOOL_CALLS
    ),
}
_OF_ONE: dict[tuple[str, str], Said] = {
    ("anthropic_messages", "refusal"): _FILTERED,
    ("anthropic_messages", "stop_sequence"): Said(stop_sequence="END"),
    ("anthropic_messages", "usage"): Said(usage=(12, 4, 3, 5, 0)),
    ("anthropic_messages", "thoughts"): replace(_THOUGHTS, signatures=1),
    ("anthropic_messages", "thoughts_before_a_call"): replace(
        _CALL, thought="Let me think.", signatures=1
    ),
    ("anthropic_messages", "redacted_thoughts"): Said(signatures=1, redacted=1),
    ("anthropic_messages", "call_without_arguments"): replace(_CALL, calls=(("get_weather", {}),)),
    ("openai_responses", "thoughts"): replace(_THOUGHTS, signatures=1),
    ("gemini_generate", "signed_call"): replace(_CALL, signatures=1),
    ("gemini_generate", "signed_text"): Said(signatures=1),
    ("gemini_generate", "blocked"): Said(
        text="", finish_reason=FinishReason.CONTENT_FILTER, usage=(12, 0, 0, 0, 0)
    ),
    ("bedrock_converse", "usage"): Said(usage=(12, 4, 3, 5, 0)),
    ("bedrock_converse", "thoughts"): replace(_THOUGHTS, signatures=1),
    ("bedrock_converse", "redacted_thoughts"): Said(signatures=1, redacted=1),
    ("cohere_chat", "usage"): Said(usage=(12, 4, 0, 5, 0)),
    ("cohere_chat", "parallel_calls"): replace(_CALLS, thought="I will look."),
}


def expected(dialect: str, name: str) -> Said | None:
    """What a recording says; None where it is an error."""
    if name.startswith("error"):
        return None
    return _OF_ONE.get((dialect, name), _OF_ALL.get(name))


def _answer(*parts: Part, reason: FinishReason = FinishReason.STOP, **more: int) -> ChatResponse:
    usage = Usage(input_tokens=12, output_tokens=5, **more)
    message = Message(role=Role.ASSISTANT, parts=parts)
    return ChatResponse(
        id="r-1", served_model="m-1", message=message, finish_reason=reason, usage=usage
    )


_HELLO = Text("Hello there!")
TYPED_ANSWERS: dict[str, ChatResponse] = {
    "text": _answer(_HELLO),
    "length": _answer(_HELLO, reason=FinishReason.LENGTH),
    "filtered": _answer(_HELLO, reason=FinishReason.CONTENT_FILTER),
    "usage": _answer(_HELLO, cached_input_tokens=4, reasoning_tokens=2),
    "refusal": _answer(Refusal("I can't do that.")),
    "call": _answer(CALL, reason=FinishReason.TOOL_CALLS),
    "parallel_calls": _answer(CALL, SECOND_CALL, reason=FinishReason.TOOL_CALLS),
    "thoughts": _answer(Reasoning(text="Let me think."), _HELLO),
}
"""What the typed API says; its bytes are written, as nobody can read them in a file."""
