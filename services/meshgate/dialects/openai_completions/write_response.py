"""Writes completions from the neutral form: whole answers, and streams as they come."""

from meshgate.dialects.neutral import (
    ChatResponse,
    ReasoningDelta,
    RefusalDelta,
    Text,
    TextDelta,
    ToolCallDelta,
)
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.openai_choices import write_response
from meshgate.dialects.openai_choices.chunks import Identity
from meshgate.dialects.openai_choices.write_response import ChoiceWriter
from meshgate.dialects.openai_completions.chunks import FORM, write_text


def write(response: ChatResponse, *, created: int) -> bytes:
    """Write a whole answer; `created` is in seconds since 1970.

    Raises:
        UnsupportedError: The answer holds something else than text.
    """
    texts = [part.text for part in response.message.parts if isinstance(part, Text)]
    if len(texts) < len(response.message.parts):
        raise unsupported("message.parts")
    said: dict[str, object] = {"text": "".join(texts)}
    return write_response.write(response, said, object_name="text_completion", created=created)


class StreamWriter(ChoiceWriter):
    """Writes one streamed answer; it can be nothing but text."""

    form = FORM

    def write_delta(
        self,
        identity: Identity,
        event: TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta,
    ) -> bytes:
        if not isinstance(event, TextDelta):
            raise unsupported("message.parts")
        return write_text(identity, event.text)
