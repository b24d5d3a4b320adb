"""All that the neutral form can hold, for Hypothesis: what the typed API carries without loss."""

import msgspec
from dialects.neutral_values import (
    assistant_parts,
    data,
    finish_reasons,
    images,
    json_objects,
    names,
    optional_names,
    requests,
    response_formats,
    texts,
    tools,
    usages,
    user_parts,
    words,
)
from hypothesis import strategies as st

from meshgate.dialects.neutral import (
    CachePoint,
    ChatResponse,
    Citation,
    CitationDelta,
    File,
    Finished,
    FinishReason,
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    RefusalDelta,
    Role,
    Started,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolResult,
)

places = st.none() | st.integers(0, 2**31 - 1)
cache_points = st.builds(CachePoint, ttl=st.sampled_from(["", "5m", "1h"]))
citations = st.builds(
    Citation, uri=texts, title=texts, quoted=texts, document=places, start=places, end=places
)
cited_texts = st.builds(Text, texts, st.lists(citations, max_size=2).map(tuple))
signatures = st.fixed_dictionaries(
    {"signature": data, "origin": optional_names, "is_redacted": st.booleans(), "id": texts}
)
thoughts = st.builds(lambda text, more: Reasoning(text=text, **more), texts, signatures)
pictures = images | st.builds(Image, file_id=names, detail=optional_names)
documents = st.builds(File, uri=words, filename=optional_names, is_cited=st.booleans()) | st.builds(
    File, data=data, media_type=st.just("application/pdf"), is_cited=st.booleans()
)
results = st.builds(
    ToolResult,
    tool_call_id=names,
    content=st.lists(st.builds(Text, texts) | pictures | documents, max_size=3).map(tuple),
    is_error=st.booleans(),
)
calls = st.builds(ToolCall, id=names, name=names, arguments_json=texts, is_custom=st.booleans())
# Calls of one answer have ids of their own; all other parts may be alike.
answer_parts = st.lists(
    cited_texts | thoughts | calls,
    max_size=5,
    unique_by=lambda part: part.id if isinstance(part, ToolCall) else object(),
).map(tuple)
messages = (
    st.builds(
        Message,
        role=st.just(Role.USER),
        parts=st.lists(pictures | documents | cache_points, max_size=3).map(tuple),
    )
    | st.builds(Message, role=st.just(Role.USER), parts=user_parts.map(tuple))
    | st.builds(Message, role=st.just(Role.ASSISTANT), parts=answer_parts | assistant_parts())
    | st.builds(
        Message, role=st.just(Role.TOOL), parts=st.lists(results, min_size=1, max_size=2).map(tuple)
    )
)
whole_tools = tools | st.builds(
    Tool,
    name=names,
    is_custom=st.booleans(),
    format_json=st.just(b"") | json_objects,
    cache_point=st.none() | cache_points,
)


@st.composite
def whole_requests(draw):
    return msgspec.structs.replace(
        draw(requests),
        messages=tuple(draw(st.lists(messages, min_size=1, max_size=3))),
        tools=tuple(draw(st.lists(whole_tools, max_size=2))),
        response_format=draw(
            st.none()
            | st.builds(
                lambda wanted, description: msgspec.structs.replace(
                    wanted, description=description
                ),
                response_formats,
                texts,
            )
        ),
        extra_dialect=draw(optional_names),
        top_k=draw(places),
        reasoning_budget_tokens=draw(places),
        shows_reasoning=draw(st.none() | st.booleans()),
    )


whole_responses = st.builds(
    ChatResponse,
    id=names,
    served_model=names,
    message=st.builds(Message, role=st.just(Role.ASSISTANT), parts=answer_parts),
    finish_reason=st.sampled_from(FinishReason),
    usage=st.none() | usages,
    stop_sequence=texts,
)


@st.composite
def whole_streams(draw):
    """The events of one streamed answer; a signature comes by itself."""
    events = [draw(st.builds(Started, id=names, served_model=names))]
    events += draw(
        st.lists(
            st.builds(TextDelta, words)
            | st.builds(CitationDelta, citations)
            | st.builds(ReasoningDelta, words)
            | signatures.map(lambda more: ReasoningDelta("", **more))
            | st.builds(RefusalDelta, words),
            max_size=6,
        )
    )
    for index in range(draw(st.integers(0, 2))):
        events += [
            ToolCallDelta(
                index=index, id=f"call-{index}", name=draw(names), is_custom=draw(st.booleans())
            ),
            ToolCallDelta(index=index, arguments_fragment=draw(words)),
        ]
    ends = st.builds(Finished, reason=finish_reasons, usage=st.none() | usages, stop_sequence=texts)
    return [*events, draw(ends)]
