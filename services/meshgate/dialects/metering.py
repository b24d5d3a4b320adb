"""How the traffic of each dialect is counted, and how a stream of it is ended early.

`meter("openai_chat")` serves callers of that dialect, whatever upstream answers them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from meshgate.dialects.anthropic_messages import texts as anthropic_messages_texts
from meshgate.dialects.anthropic_messages import token_count as anthropic_token_count
from meshgate.dialects.anthropic_messages.tally import OutputTally as AnthropicMessagesTally
from meshgate.dialects.counting import CountableText
from meshgate.dialects.gemini_embeddings import texts as gemini_embeddings_texts
from meshgate.dialects.gemini_generate import texts as gemini_generate_texts
from meshgate.dialects.gemini_generate import token_count as gemini_token_count
from meshgate.dialects.gemini_generate.tally import OutputTally as GeminiGenerateTally
from meshgate.dialects.media import MEDIA
from meshgate.dialects.media_dialect import MediaDialect
from meshgate.dialects.meshgate_chat import texts as meshgate_chat_texts
from meshgate.dialects.meshgate_chat.tally import OutputTally as MeshgateChatTally
from meshgate.dialects.openai_chat import texts as openai_chat_texts
from meshgate.dialects.openai_chat.tally import OutputTally as OpenAiChatTally
from meshgate.dialects.openai_completions import texts as openai_completions_texts
from meshgate.dialects.openai_completions.tally import OutputTally as OpenAiCompletionsTally
from meshgate.dialects.openai_embeddings import texts as openai_embeddings_texts
from meshgate.dialects.openai_responses import texts as openai_responses_texts
from meshgate.dialects.openai_responses.tally import OutputTally as OpenAiResponsesTally
from meshgate.dialects.output_tally import OutputTally
from meshgate.runtime.errors import UnsupportedError


class TallyFactory(Protocol):
    """Begins to count a stream.

    The arguments are what the caller is told if the stream must end before it has begun; `created`
    is in seconds since 1970.
    """

    def __call__(self, *, answer_id: str, served_model: str, created: int) -> OutputTally: ...


@dataclass(frozen=True)
class Meter:
    """The counting of one dialect. Nothing here raises for what a body holds.

    Attributes:
        countable_text: What a request says.
        answer_texts: What a plain answer says, for a tokenizer.
        tally: Counts a stream.
    """

    countable_text: Callable[[bytes], CountableText]
    answer_texts: Callable[[bytes], list[str]]
    tally: TallyFactory


def meter(dialect: str) -> Meter:
    """Return how a dialect is counted.

    Raises:
        UnsupportedError: It is not known.
    """
    found = _METERS.get(dialect)
    if found is None:
        raise UnsupportedError(f"{dialect} cannot be counted", dialect=dialect)
    return found


def _no_tally(*, answer_id: str, served_model: str, created: int) -> OutputTally:
    raise UnsupportedError("embeddings are not streamed", field="stream")


def _no_count_tally(*, answer_id: str, served_model: str, created: int) -> OutputTally:
    raise UnsupportedError("counts of tokens are not streamed", field="stream")


@dataclass(frozen=True)
class _MediaTallies:
    """Begins to count streams that say nothing of who answers."""

    media: MediaDialect

    def __call__(self, *, answer_id: str, served_model: str, created: int) -> OutputTally:
        del answer_id, served_model, created
        return self.media.tally()


_METERS = {
    "anthropic_messages": Meter(
        countable_text=anthropic_messages_texts.countable_text,
        answer_texts=anthropic_messages_texts.answer_texts,
        tally=AnthropicMessagesTally,
    ),
    "anthropic_token_count": Meter(
        countable_text=anthropic_messages_texts.countable_text,
        answer_texts=anthropic_token_count.no_texts,
        tally=_no_count_tally,
    ),
    "openai_chat": Meter(
        countable_text=openai_chat_texts.countable_text,
        answer_texts=openai_chat_texts.answer_texts,
        tally=OpenAiChatTally,
    ),
    "meshgate_chat": Meter(
        countable_text=meshgate_chat_texts.countable_text,
        answer_texts=meshgate_chat_texts.answer_texts,
        tally=MeshgateChatTally,
    ),
    "openai_completions": Meter(
        countable_text=openai_completions_texts.countable_text,
        answer_texts=openai_completions_texts.answer_texts,
        tally=OpenAiCompletionsTally,
    ),
    "openai_responses": Meter(
        countable_text=openai_responses_texts.countable_text,
        answer_texts=openai_responses_texts.answer_texts,
        tally=OpenAiResponsesTally,
    ),
    "openai_embeddings": Meter(
        countable_text=openai_embeddings_texts.countable_text,
        answer_texts=openai_embeddings_texts.answer_texts,
        tally=_no_tally,
    ),
    "gemini_generate": Meter(
        countable_text=gemini_generate_texts.countable_text,
        answer_texts=gemini_generate_texts.answer_texts,
        tally=GeminiGenerateTally,
    ),
    "gemini_token_count": Meter(
        countable_text=gemini_token_count.countable_text,
        answer_texts=gemini_token_count.answer_texts,
        tally=_no_tally,
    ),
    "gemini_embeddings": Meter(
        countable_text=gemini_embeddings_texts.countable_text,
        answer_texts=gemini_embeddings_texts.answer_texts,
        tally=_no_tally,
    ),
    **{
        name: Meter(media.countable_text, media.answer_texts, _MediaTallies(media))
        for name, media in MEDIA.items()
    },
}
