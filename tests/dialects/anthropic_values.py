"""Neutral requests, answers and streams that Anthropic's messages can express, for Hypothesis."""

import itertools
import json

from dialects.neutral_values import data, names, tokens, words
from hypothesis import strategies as st

from meshgate.dialects.neutral import (
    CachePoint,
    ChatRequest,
    ChatResponse,
    File,
    Finished,
    FinishReason,
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Started,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
    Usage,
)

OWN = "anthropic_messages"
MODEL = "claude-opus-5"
EARLY_MODEL = "claude-opus-4-5"  # which is told how much to think, and not how hard


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


objects = st.dictionaries(
    names, st.none() | st.booleans() | st.integers(-9, 9) | words, max_size=3
).map(compact)
signatures = st.from_regex(r"[A-Za-z0-9+/]{4,12}", fullmatch=True).map(str.encode)
origins = st.sampled_from([OWN, "gemini_generate", "openai_responses"])
texts = st.builds(Text, words)
images = (
    st.builds(Image, uri=words.map(lambda w: f"https://x.example/{w}"))
    | st.builds(Image, data=data, media_type=st.just("image/png"))
    | st.builds(Image, file_id=names)
)
files = st.builds(
    File,
    data=data,
    media_type=st.just("application/pdf"),
    filename=st.just("") | names,
    is_cited=st.booleans(),
) | st.builds(File, file_id=names)
points = st.builds(CachePoint, ttl=st.sampled_from(["", "5m", "1h"]))
own_thoughts = st.builds(
    Reasoning, text=words, signature=signatures, origin=st.just(OWN)
) | st.builds(
    Reasoning,
    text=st.just(""),
    signature=signatures,
    origin=st.just(OWN),
    is_redacted=st.just(True),
)
user_parts = st.lists(texts | images | files, min_size=1, max_size=3)
results = st.lists(texts | images, max_size=2).map(tuple)


@st.composite
def conversations(draw):
    """Turns that alternate, with what tools gave back right after their calls."""
    messages = []
    if draw(st.booleans()):
        parts = draw(st.lists(texts, min_size=1, max_size=2))
        messages.append(
            Message(role=Role.SYSTEM, parts=tuple(parts + draw(st.lists(points, max_size=1))))
        )
    for turn in range(draw(st.integers(1, 3))):
        parts = draw(user_parts) + draw(st.lists(points, max_size=1))
        messages.append(Message(role=Role.USER, parts=tuple(parts)))
        said = draw(st.lists(own_thoughts, max_size=2)) + draw(
            st.lists(texts, min_size=1, max_size=2)
        )
        calls = [
            ToolCall(id=f"toolu_{turn}_{number}", name=draw(names), arguments_json=draw(objects))
            for number in range(draw(st.integers(0, 2)))
        ]
        messages.append(Message(role=Role.ASSISTANT, parts=(*said, *calls)))
        if calls:
            given = tuple(
                ToolResult(
                    tool_call_id=call.id, content=draw(results), is_error=draw(st.booleans())
                )
                for call in calls
            )
            messages.append(Message(role=Role.TOOL, parts=given))
    return tuple(messages)


schemas = objects.map(lambda text: compact({"type": "object", **json.loads(text)}).encode())
tools = st.builds(
    Tool,
    name=names,
    description=st.just("") | words,
    parameters_json=schemas,
    strict=st.sampled_from([None, True]),
    cache_point=st.none() | points,
)
choices = st.builds(
    ToolChoice,
    mode=st.sampled_from([ToolChoiceMode.AUTO, ToolChoiceMode.NONE, ToolChoiceMode.REQUIRED]),
) | st.builds(ToolChoice, mode=st.just(ToolChoiceMode.NAMED), name=names)


@st.composite
def requests(draw):
    thinking = draw(
        st.sampled_from(
            [
                {},
                {"reasoning_budget_tokens": 0},
                {"reasoning_budget_tokens": 2048, "shows_reasoning": False},
                {"reasoning_effort": "high"},
                {"reasoning_effort": "low", "shows_reasoning": True},
                {"shows_reasoning": True},
            ]
        )
    )
    offered = tuple(draw(st.lists(tools, min_size=1, max_size=2)))
    chosen = draw(st.none() | choices)
    is_parallel = None
    if chosen is not None and chosen.mode is not ToolChoiceMode.NONE:
        is_parallel = draw(st.sampled_from([None, True, False]))
    schema = draw(st.none() | schemas)
    return ChatRequest(
        model=EARLY_MODEL if thinking.get("reasoning_budget_tokens") else MODEL,
        messages=draw(conversations()),
        tools=offered,
        tool_choice=chosen,
        parallel_tool_calls=is_parallel,
        response_format=None
        if schema is None
        else ResponseFormat(kind=ResponseFormatKind.JSON_SCHEMA, schema_json=schema, strict=True),
        max_output_tokens=draw(st.integers(4096, 64_000)),
        temperature=draw(st.none() | st.floats(0, 1)),
        top_p=draw(st.none() | st.floats(0, 1)),
        top_k=draw(st.none() | st.integers(0, 500)),
        stop_sequences=tuple(draw(st.lists(words, max_size=2))),
        user=draw(st.just("") | names),
        **thinking,
    )


usages = st.builds(
    lambda plain, cached, created, out, thought: Usage(
        input_tokens=plain + cached + created,
        cached_input_tokens=cached,
        cache_creation_input_tokens=created,
        output_tokens=out,
        reasoning_tokens=min(thought, out),
    ),
    *[st.integers(0, 2**20)] * 3,
    tokens,
    tokens,
)
thoughts = st.builds(
    Reasoning, text=st.just("") | words, signature=signatures, origin=origins
) | st.builds(Reasoning, text=words)


@st.composite
def responses(draw, most=2):
    parts = draw(st.lists(thoughts | own_thoughts, max_size=most))
    parts += draw(st.lists(texts, max_size=most))
    calls = [
        ToolCall(id=f"toolu_{number}", name=draw(names), arguments_json=draw(objects))
        for number in range(draw(st.integers(0, 2)))
    ]
    reason, stop_sequence = draw(endings(calls=bool(calls)))
    return ChatResponse(
        id=draw(names),
        served_model=draw(names),
        message=Message(role=Role.ASSISTANT, parts=(*parts, *calls)),
        finish_reason=reason,
        usage=draw(usages),
        stop_sequence=stop_sequence,
    )


@st.composite
def endings(draw, *, calls):
    if calls:
        return draw(st.sampled_from([FinishReason.TOOL_CALLS, FinishReason.LENGTH])), ""
    reason = draw(
        st.sampled_from([FinishReason.STOP, FinishReason.LENGTH, FinishReason.CONTENT_FILTER])
    )
    return reason, draw(st.just("") | words) if reason is FinishReason.STOP else ""


def fragments(text, cuts):
    """A text in pieces, none empty."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in itertools.pairwise(places)]


@st.composite
def calls(draw, least=0, most=3):
    """The events of each of some calls."""
    return [
        [
            ToolCallDelta(index=index, id=f"toolu_{index}", name=draw(names)),
            *(
                ToolCallDelta(index=index, arguments_fragment=fragment)
                for fragment in fragments(
                    draw(objects), draw(st.lists(st.integers(0, 99), max_size=3))
                )
            ),
        ]
        for index in range(draw(st.integers(least, most)))
    ]


signed = st.builds(
    lambda text, signature, origin: [
        *([ReasoningDelta(text)] if text else []),
        ReasoningDelta("", signature, origin),
    ],
    st.just("") | words,
    signatures,
    origins,
)
redacted = signatures.map(lambda it: [ReasoningDelta("", it, OWN, is_redacted=True)])
spoken = st.builds(TextDelta, words).map(lambda it: [it])


@st.composite
def streams(draw):
    """The events of one streamed answer, as they are read again."""
    said = draw(
        st.lists(
            signed | redacted | spoken | st.builds(ReasoningDelta, words).map(lambda it: [it]),
            max_size=5,
        )
    )
    called = draw(calls())
    reason, stop_sequence = draw(endings(calls=bool(called)))
    return [
        Started(id=draw(names), served_model=draw(names)),
        *(event for events in [*said, *called] for event in events),
        Finished(reason=reason, usage=draw(usages), stop_sequence=stop_sequence),
    ]
