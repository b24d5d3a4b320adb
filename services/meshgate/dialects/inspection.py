"""How the texts in each dialect's traffic are looked at, and what may be shown of them written back.

`inspection("openai_chat")` serves callers of that dialect, whatever upstream answers them. How a
stream is ended early is a matter of `output_tally.OutputTally`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from meshgate.dialects.anthropic_messages import segments as anthropic_messages
from meshgate.dialects.anthropic_messages import token_count as anthropic_token_count
from meshgate.dialects.anthropic_messages.inspected_stream import (
    InspectedStream as AnthropicMessagesStream,
)
from meshgate.dialects.gemini_embeddings import segments as gemini_embeddings
from meshgate.dialects.gemini_generate import segments as gemini_generate
from meshgate.dialects.gemini_generate.inspected_stream import InspectedStream as GeminiStream
from meshgate.dialects.media import MEDIA
from meshgate.dialects.meshgate_chat import segments as meshgate_chat
from meshgate.dialects.meshgate_chat.inspected_stream import InspectedStream as MeshgateChatStream
from meshgate.dialects.openai_chat import segments as openai_chat
from meshgate.dialects.openai_chat.inspected_stream import inspected_stream as openai_chat_stream
from meshgate.dialects.openai_completions import segments as openai_completions
from meshgate.dialects.openai_completions.inspected_stream import (
    inspected_stream as openai_completions_stream,
)
from meshgate.dialects.openai_embeddings import segments as openai_embeddings
from meshgate.dialects.openai_responses import segments as openai_responses
from meshgate.dialects.openai_responses.inspected_stream import (
    InspectedStream as OpenAiResponsesStream,
)
from meshgate.dialects.segments import Cut, InspectedStream
from meshgate.runtime.errors import UnsupportedError


@dataclass(frozen=True)
class Inspection:
    """The inspection of one dialect.

    Attributes:
        cut_request: Takes the texts out of a request. Raises InvalidRequestError.
        cut_answer: Takes the texts out of a plain answer. Raises MalformedAnswerError.
        blocked_answer: Writes the same answer with nothing said in it. Raises MalformedAnswerError.
        stream: Begins to take a stream apart.
    """

    cut_request: Callable[[bytes], Cut]
    cut_answer: Callable[[bytes], Cut]
    blocked_answer: Callable[[bytes], bytes]
    stream: Callable[[], InspectedStream]


def inspection(dialect: str) -> Inspection:
    """Return how a dialect is looked at.

    Raises:
        UnsupportedError: It is not known.
    """
    found = _INSPECTIONS.get(dialect)
    if found is None:
        raise UnsupportedError(f"{dialect} cannot be inspected", dialect=dialect)
    return found


def _no_stream() -> InspectedStream:
    raise UnsupportedError("embeddings are not streamed", field="stream")


def _no_count_stream() -> InspectedStream:
    raise UnsupportedError("counts of tokens are not streamed", field="stream")


_INSPECTIONS = {
    "anthropic_messages": Inspection(
        cut_request=anthropic_messages.cut_request,
        cut_answer=anthropic_messages.cut_answer,
        blocked_answer=anthropic_messages.blocked_answer,
        stream=AnthropicMessagesStream,
    ),
    "anthropic_token_count": Inspection(
        cut_request=anthropic_messages.cut_request,
        cut_answer=anthropic_token_count.cut_answer,
        blocked_answer=anthropic_token_count.same,
        stream=_no_count_stream,
    ),
    "openai_chat": Inspection(
        cut_request=openai_chat.cut_request,
        cut_answer=openai_chat.cut_answer,
        blocked_answer=openai_chat.blocked_answer,
        stream=openai_chat_stream,
    ),
    "openai_completions": Inspection(
        cut_request=openai_completions.cut_request,
        cut_answer=openai_completions.cut_answer,
        blocked_answer=openai_completions.blocked_answer,
        stream=openai_completions_stream,
    ),
    "meshgate_chat": Inspection(
        cut_request=meshgate_chat.cut_request,
        cut_answer=meshgate_chat.cut_answer,
        blocked_answer=meshgate_chat.blocked_answer,
        stream=MeshgateChatStream,
    ),
    "openai_responses": Inspection(
        cut_request=openai_responses.cut_request,
        cut_answer=openai_responses.cut_answer,
        blocked_answer=openai_responses.blocked_answer,
        stream=OpenAiResponsesStream,
    ),
    "openai_embeddings": Inspection(
        cut_request=openai_embeddings.cut_request,
        cut_answer=openai_embeddings.cut_answer,
        blocked_answer=openai_embeddings.blocked_answer,
        stream=_no_stream,
    ),
    "gemini_generate": Inspection(
        cut_request=gemini_generate.cut_request,
        cut_answer=gemini_generate.cut_answer,
        blocked_answer=gemini_generate.blocked_answer,
        stream=GeminiStream,
    ),
    "gemini_token_count": Inspection(
        cut_request=gemini_generate.cut_request,
        cut_answer=gemini_embeddings.cut_answer,
        blocked_answer=gemini_embeddings.blocked_answer,
        stream=_no_stream,
    ),
    "gemini_embeddings": Inspection(
        cut_request=gemini_embeddings.cut_request,
        cut_answer=gemini_embeddings.cut_answer,
        blocked_answer=gemini_embeddings.blocked_answer,
        stream=_no_stream,
    ),
    **{
        name: Inspection(media.cut_request, media.cut_answer, media.blocked_answer, media.inspected)
        for name, media in MEDIA.items()
    },
}
