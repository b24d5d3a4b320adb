"""What an answer bears beside its words outlives its keeping: whoever is told it may send it back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects import signatures
from meshgate.dialects.answer_parts import AnswerParts
from meshgate.dialects.keeping import keeping
from meshgate.dialects.neutral import (
    ChatResponse,
    Citation,
    CitationDelta,
    FinishReason,
    Message,
    Reasoning,
    Role,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from meshgate.dialects.retelling import events_of
from meshgate.dialects.translation import CHAT_DIALECTS

CREATED = 1_790_000_000
LIMIT = 1 << 20
TELLS_STOP_SEQUENCE = {"anthropic_messages", "meshgate_chat"}

words = st.sampled_from(["so", "hm, é", "日本 🎉", " "])
# An answer has one maker. Gemini signs what comes after a thought: see test_gemini_answers.py.
origins = st.shared(st.sampled_from(["anthropic_messages", "bedrock_converse"]), key="maker")
# Signatures are text in JSON; what they say is their maker's own.
written_proofs = st.sampled_from([b"cHJvb2Y=", b"c2lnbmVk", b"AA=="])
signed = st.builds(Reasoning, text=words, signature=written_proofs, origin=origins)
hidden = st.builds(
    Reasoning,
    text=st.just(""),
    signature=written_proofs,
    origin=origins,
    is_redacted=st.just(True),
)


@st.composite
def responses(draw: st.DrawFn) -> ChatResponse:
    """Thoughts, a text that cites an address, and a call or a stop sequence."""
    thoughts = draw(st.lists(signed | hidden, min_size=1, max_size=3))
    text = draw(words)
    cited = Citation(
        uri="https://x.example/a", title="A", start=0, end=len(text), quoted=draw(words)
    )
    calls = (ToolCall(id="call_a", name="f", arguments_json='{"a":1}'),) * draw(st.integers(0, 1))
    return ChatResponse(
        id="answer-1",
        served_model="m-1",
        message=Message(role=Role.ASSISTANT, parts=(*thoughts, Text(text, (cited,)), *calls)),
        finish_reason=FinishReason.TOOL_CALLS if calls else FinishReason.STOP,
        usage=Usage(input_tokens=3, output_tokens=9, reasoning_tokens=4),
        stop_sequence="" if calls else draw(st.sampled_from(["", "END"])),
    )


def proofs(response: ChatResponse) -> list[tuple[bytes, str]]:
    """Signatures and their makers, as whoever is told them gives them back."""
    thoughts = [part for part in response.message.parts if isinstance(part, Reasoning)]
    opened = [(it, signatures.unseal(it.signature.decode())) for it in thoughts if it.signature]
    # Where a dialect has no word for hidden thoughts, the seal says it.
    return [
        (content, (origin or it.origin).removesuffix(".redacted"))
        for it, (content, origin) in opened
    ]


def citations(response: ChatResponse) -> list[str]:
    texts = [part for part in response.message.parts if isinstance(part, Text)]
    return [citation.uri for text in texts for citation in text.citations]


@pytest.mark.parametrize("dialect", CHAT_DIALECTS)
@given(response=responses())
def test_proofs_citations_and_stop_sequences_outlive_keeping(dialect, response):
    kept, spoken = keeping(dialect), CHAT_DIALECTS[dialect]
    body = spoken.write_response(response, created=CREATED)

    listener = kept.listen(CREATED, LIMIT)
    listener.take(kept.streamed(body, CREATED, include_usage=True))
    again = spoken.read_response(listener.body(response.usage))

    assert again == spoken.read_response(body)
    assert proofs(again) == proofs(response)
    assert citations(again) == ["https://x.example/a"]
    assert again.stop_sequence == (response.stop_sequence if dialect in TELLS_STOP_SEQUENCE else "")


def test_what_a_later_text_cites_stays_in_its_place() -> None:
    cited = Citation(uri="https://x.example/a", start=1, end=3)
    parts = (
        Text("first", (cited,)),
        Reasoning(text="hm"),
        Text("second", (cited,)),
        ToolCall(id="c", name="f"),
    )
    message = Message(role=Role.ASSISTANT, parts=parts)
    response = ChatResponse(id="a", served_model="m", message=message)

    events = list(events_of(response))
    gathered = AnswerParts()
    for event in events:
        gathered.take(event)

    assert [it.citation.start for it in events if isinstance(it, CitationDelta)] == [1, 6]
    assert tuple(gathered.whole()) == parts


def test_what_is_cited_after_a_call_belongs_to_the_text_before_it() -> None:
    cited = Citation(uri="https://x.example/a", start=0, end=2)
    gathered = AnswerParts()

    for event in (TextDelta("ab"), ToolCallDelta(index=0, id="c", name="f"), CitationDelta(cited)):
        gathered.take(event)

    assert gathered.whole() == [Text("ab", (cited,)), ToolCall(id="c", name="f")]
