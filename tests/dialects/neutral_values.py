"""Neutral requests, answers and streams that both chat dialects can express, for Hypothesis."""

import json

from hypothesis import strategies as st

from meshgate.dialects.neutral import (
    Audio,
    ChatRequest,
    ChatResponse,
    File,
    Finished,
    FinishReason,
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
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

# Neither JSON nor protobuf can carry half a surrogate pair.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,9}", fullmatch=True)
data = st.binary(min_size=1, max_size=30)
optional_names = st.just("") | names
json_objects = st.dictionaries(
    names, st.none() | st.booleans() | st.integers(-9, 9) | texts, max_size=3
).map(lambda value: json.dumps(value).encode())
tokens = st.integers(0, 2**30)

usages = st.builds(
    lambda whole, cached, created, out, reasoning: Usage(
        input_tokens=whole,
        cached_input_tokens=min(cached, whole),
        cache_creation_input_tokens=min(created, whole - min(cached, whole)),
        output_tokens=out,
        reasoning_tokens=min(reasoning, out),
        long_cache_creation_input_tokens=created // 2,
        input_audio_tokens=cached // 2,
        output_audio_tokens=reasoning // 3,
        input_image_tokens=cached // 3,
        output_image_tokens=reasoning // 2,
    ),
    tokens,
    tokens,
    tokens,
    tokens,
    tokens,
)
# "The upstream did not say" is no word of OpenAI's.
finish_reasons = st.sampled_from(
    [reason for reason in FinishReason if reason is not FinishReason.UNSPECIFIED]
)

images = st.builds(
    Image, uri=words.map(lambda w: f"https://x.example/{w}"), detail=optional_names
) | st.builds(Image, data=data, media_type=st.just("image/png"), detail=optional_names)
files = st.builds(File, file_id=names, filename=optional_names) | st.builds(
    File, data=data, media_type=st.just("application/pdf"), filename=optional_names
)
audios = st.builds(Audio, data=data, format=st.sampled_from(["wav", "mp3"]))
tool_calls = st.builds(
    ToolCall, id=names, name=names, arguments_json=texts, is_custom=st.booleans()
)

user_parts = st.lists(st.builds(Text, texts) | images | files | audios, min_size=1, max_size=4)


@st.composite
def assistant_parts(draw):
    """What the model said, in the order that OpenAI's format gives back."""
    thoughts = draw(st.lists(st.builds(Reasoning, text=words), max_size=1))
    spoken = draw(
        st.lists(st.builds(Text, words), max_size=1)
        | st.lists(st.builds(Text, texts) | st.builds(Refusal, words), min_size=2, max_size=3)
        | st.lists(st.builds(Refusal, words), max_size=1)
    )
    calls = draw(st.lists(tool_calls, max_size=2, unique_by=lambda call: call.id))
    return (*thoughts, *spoken, *calls)


prompts = st.builds(
    Message,
    role=st.just(Role.SYSTEM),
    parts=st.lists(st.builds(Text, texts), min_size=1, max_size=2).map(tuple),
    name=optional_names,
) | st.builds(Message, role=st.just(Role.USER), parts=user_parts.map(tuple), name=optional_names)
messages = (
    prompts
    | st.builds(Message, role=st.just(Role.ASSISTANT), parts=assistant_parts(), name=optional_names)
    | st.builds(
        Message,
        role=st.just(Role.TOOL),
        parts=st.builds(
            ToolResult, tool_call_id=names, content=st.builds(Text, texts).map(lambda it: (it,))
        ).map(lambda part: (part,)),
    )
)
tools = st.builds(
    Tool,
    name=names,
    description=texts,
    parameters_json=st.just(b"") | json_objects,
    strict=st.none() | st.booleans(),
) | st.builds(
    Tool,
    name=names,
    description=texts,
    is_custom=st.just(True),
    format_json=st.just(b"") | json_objects,
)
tool_choices = st.builds(
    ToolChoice,
    mode=st.sampled_from([ToolChoiceMode.AUTO, ToolChoiceMode.NONE, ToolChoiceMode.REQUIRED]),
) | st.builds(ToolChoice, mode=st.just(ToolChoiceMode.NAMED), name=names)
response_formats = st.builds(
    ResponseFormat,
    kind=st.sampled_from([ResponseFormatKind.TEXT, ResponseFormatKind.JSON_OBJECT]),
) | st.builds(
    ResponseFormat,
    kind=st.just(ResponseFormatKind.JSON_SCHEMA),
    name=names,
    schema_json=json_objects,
    strict=st.none() | st.booleans(),
)
extras = st.just(b"") | st.dictionaries(
    st.sampled_from(["tomorrow", "logit_bias", "store", "min_p"]), st.integers(0, 9), min_size=1
).map(lambda value: json.dumps(value, separators=(",", ":")).encode())

requests = st.builds(
    lambda **members: ChatRequest(
        extra_dialect="openai_chat" if members["extra_json"] else "", **members
    ),
    model=names,
    messages=st.lists(messages, min_size=1, max_size=4).map(tuple),
    tools=st.lists(tools, max_size=2).map(tuple),
    tool_choice=st.none() | tool_choices,
    parallel_tool_calls=st.none() | st.booleans(),
    response_format=st.none() | response_formats,
    max_output_tokens=st.none() | st.integers(1, 2**31 - 1),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    stop_sequences=st.lists(texts, max_size=3).map(tuple),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    frequency_penalty=st.none() | st.floats(-2, 2),
    presence_penalty=st.none() | st.floats(-2, 2),
    reasoning_effort=st.none() | names,
    metadata=st.dictionaries(names, texts, max_size=2),
    extra_json=extras,
    top_k=st.none() | st.integers(-(2**31), 2**31 - 1),
    verbosity=st.none() | st.sampled_from(["low", "medium", "high"]),
    user=texts,
)


@st.composite
def answer_parts(draw):
    thoughts = draw(st.lists(st.builds(Reasoning, text=words), max_size=1))
    spoken = draw(st.lists(st.builds(Text, words), max_size=1))
    refusals = draw(st.lists(st.builds(Refusal, words), max_size=1))
    calls = draw(st.lists(tool_calls, max_size=2, unique_by=lambda call: call.id))
    return (*thoughts, *spoken, *refusals, *calls)


def reason_of(reason, calls):
    """A reason that fits: what calls tools has not just stopped."""
    return FinishReason.TOOL_CALLS if calls and reason is FinishReason.STOP else reason


@st.composite
def answers(draw):
    parts = draw(answer_parts())
    calls = [part for part in parts if isinstance(part, ToolCall)]
    return ChatResponse(
        id=draw(names),
        served_model=draw(names),
        message=Message(role=Role.ASSISTANT, parts=parts),
        finish_reason=reason_of(draw(finish_reasons), calls),
        usage=draw(st.none() | usages),
    )


responses = answers()


@st.composite
def streams(draw):
    """The events of one streamed answer, as its grammar allows them."""
    events = [draw(st.builds(Started, id=names, served_model=names))]
    events += draw(
        st.lists(
            st.builds(TextDelta, words)
            | st.builds(ReasoningDelta, words)
            | st.builds(RefusalDelta, words),
            max_size=5,
        )
    )
    calls = draw(st.integers(0, 2))
    for index in range(calls):
        events.append(
            ToolCallDelta(
                index=index,
                id=f"call-{index}",
                name=draw(names),
                arguments_fragment=draw(texts),
            )
        )
        events += [
            ToolCallDelta(index=index, arguments_fragment=fragment)
            for fragment in draw(st.lists(words, max_size=2))
        ]
    reason = reason_of(draw(finish_reasons), calls)
    return [*events, Finished(reason=reason, usage=draw(st.none() | usages))]


def split(draw_sizes, whole):
    """Cut bytes into reads of the sizes given, and a last one with the rest."""
    reads, at = [], 0
    for size in draw_sizes:
        reads.append(whole[at : at + size])
        at += size
    return [*reads, whole[at:]]


read_sizes = st.lists(st.integers(0, 60), max_size=40)
