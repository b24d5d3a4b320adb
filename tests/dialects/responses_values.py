"""Neutral requests and answers that OpenAI's responses can express, and what the API itself has said.

The shapes are published: https://developers.openai.com/api/reference/resources/responses/methods/create
and the page `streaming-events` beside it. The streams are those of tests/upstream/responses.py.
"""

import json

from dialects import neutral_values as any_dialect
from hypothesis import strategies as st
from upstream import responses as fake
from upstream.behaviours import Behaviour, ToolCall
from upstream.sse import EventWriter

from meshgate.dialects import sse
from meshgate.dialects.neutral import (
    ChatRequest,
    ChatResponse,
    Citation,
    CitationDelta,
    Finished,
    FinishReason,
    Message,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Role,
    Started,
    Text,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolResult,
)
from meshgate.dialects.neutral import ToolCall as NeutralCall
from meshgate.dialects.openai_responses.write_response import StreamWriter

words, names, texts, data = (
    any_dialect.words,
    any_dialect.names,
    any_dialect.texts,
    any_dialect.data,
)
citations = st.builds(
    Citation, uri=words, title=texts, start=st.integers(0, 9), end=st.integers(9, 99)
) | st.builds(Citation, title=texts, document=st.integers(0, 9))
calls = st.builds(NeutralCall, id=names, name=names, arguments_json=texts, is_custom=st.booleans())
own_thoughts = st.builds(
    Reasoning,
    text=texts,
    signature=names.map(str.encode),
    origin=st.just("openai_responses"),
    id=names,
)
spoken = st.builds(Text, texts, st.lists(citations, max_size=2).map(tuple)) | st.builds(
    Refusal, texts
)


@st.composite
def assistant(draw):
    """What the model says, never twice in a row: that would be read as once."""
    parts = draw(st.lists(spoken | calls | own_thoughts, min_size=1, max_size=5))
    return Message(role=Role.ASSISTANT, parts=tuple(parts))


results = st.builds(
    ToolResult,
    tool_call_id=names.map(lambda name: f"r{name}"),
    content=texts.map(lambda text: (Text(text),))
    | st.lists(
        st.builds(Text, texts) | any_dialect.images | any_dialect.files, min_size=2, max_size=3
    ).map(tuple),
)
heard = (
    st.builds(
        Message,
        role=st.just(Role.SYSTEM),
        parts=st.lists(st.builds(Text, texts), min_size=1, max_size=2).map(tuple),
    )
    | st.builds(Message, role=st.just(Role.USER), parts=any_dialect.user_parts.map(tuple))
    | st.builds(Message, role=st.just(Role.TOOL), parts=results.map(lambda part: (part,)))
)


@st.composite
def conversations(draw):
    messages = [draw(heard)]
    for _ in range(draw(st.integers(0, 2))):
        messages += [draw(assistant()), draw(heard)]
    return tuple(messages)


formats = st.sampled_from(
    [
        b"",
        b'{"type":"text"}',
        b'{"type":"grammar","grammar":{"definition":"a: b","syntax":"lark"}}',
    ]
)
tools = st.builds(
    Tool,
    name=names,
    description=texts,
    parameters_json=any_dialect.json_objects,
    strict=st.booleans(),
) | st.builds(Tool, name=names, description=texts, is_custom=st.just(True), format_json=formats)
requests = st.builds(
    ChatRequest,
    model=names,
    messages=conversations(),
    tools=st.lists(tools, max_size=2).map(tuple),
    tool_choice=st.none() | any_dialect.tool_choices,
    parallel_tool_calls=st.none() | st.booleans(),
    response_format=st.none() | any_dialect.response_formats,
    max_output_tokens=st.none() | st.integers(1, 2**31 - 1),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    reasoning_effort=st.none() | names,
    shows_reasoning=st.none() | st.just(True),
    verbosity=st.none() | st.sampled_from(["low", "high"]),
    user=st.just("") | names,
    metadata=st.dictionaries(names, texts, max_size=2),
)
usages = any_dialect.usages.map(
    lambda usage: type(usage)(
        input_tokens=usage.input_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        cache_creation_input_tokens=usage.cache_creation_input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )
)


def _uniquely_named(parts):
    """The parts without those whose name another one has before them."""
    seen, kept = set(), []
    for part in parts:
        name = part.id if isinstance(part, Reasoning | NeutralCall) else None
        if name is None or name not in seen:
            kept.append(part)
            seen.add(name)
    return kept


@st.composite
def answers(draw):
    """Answers as this dialect gives them: texts of one kind are never next to each other."""
    drawn = _uniquely_named(
        draw(st.lists(st.builds(Text, words) | st.builds(Refusal, words) | calls | own_thoughts))
    )
    kept = [
        part
        for at, part in enumerate(drawn)
        if at == 0 or type(part) is not type(drawn[at - 1]) or not isinstance(part, Text | Refusal)
    ]
    has_calls = any(isinstance(part, NeutralCall) for part in kept)
    whole = FinishReason.TOOL_CALLS if has_calls else FinishReason.STOP
    reasons = [whole, FinishReason.LENGTH, FinishReason.CONTENT_FILTER]
    return ChatResponse(
        id=f"resp_{draw(names)}",
        served_model=draw(names),
        message=Message(role=Role.ASSISTANT, parts=tuple(kept)),
        finish_reason=draw(st.sampled_from(reasons)),
        usage=draw(st.none() | usages),
    )


@st.composite
def streams(draw):
    """Any stream that the neutral grammar allows, whatever upstream it comes from."""
    events = [draw(st.builds(Started, id=names, served_model=names))]
    deltas = (
        st.builds(TextDelta, words)
        | st.builds(RefusalDelta, words)
        | st.builds(ReasoningDelta, words)
        | st.builds(
            ReasoningDelta,
            texts,
            data,
            st.sampled_from(["anthropic_messages", "gemini_generate"]),
            is_redacted=st.booleans(),
        )
        | st.builds(CitationDelta, citations)
    )
    begun = 0
    for _ in range(draw(st.integers(0, 6))):
        if begun < 3 and draw(st.booleans()):
            is_custom = draw(st.booleans())
            events.append(
                ToolCallDelta(
                    index=begun, id=f"call-{begun}", name=draw(names), is_custom=is_custom
                )
            )
            begun += 1
        elif begun and draw(st.booleans()):
            index = draw(st.integers(0, begun - 1))
            events.append(ToolCallDelta(index=index, arguments_fragment=draw(words)))
        else:
            events.append(draw(deltas))
    reasons = st.sampled_from(list(FinishReason))
    events.append(draw(st.builds(Finished, reason=reasons, usage=st.none() | usages)))
    return events


def upstream_stream(behaviour=None, **asked):
    """A stream as the API itself writes it."""
    body = {"model": "gpt-4o", "input": "Hi", "stream": True, "store": False} | asked
    behaviour = behaviour or Behaviour()
    said = fake.compose(body, behaviour, 7, behaviour.text)
    writer = EventWriter(behaviour.framing)
    payloads = fake.payloads(said, behaviour.chunks, usage_asked="no")
    return [piece for data in payloads for piece in writer.pieces(data)]


CALLS = Behaviour(
    tool_calls=(ToolCall("get_weather", '{"city":"Paris"}'), ToolCall("get_time", '{"at":7}'))
)
THINKING = {"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]}


def events_in(stream):
    """The events of a stream, decoded."""
    blocks = stream.strip(b"\n").split(b"\n\n")
    return [json.loads(block.partition(b"\ndata: ")[2]) for block in blocks]


def body(**members):
    return json.dumps({"model": "m", "input": "Hi"} | members).encode()


def written(events):
    return StreamWriter(created=7, include_usage=True).write(events)


def pieces_of(stream):
    return [sse.write(event) for event in sse.EventReader().feed(stream)]
