"""What the demo provider says: always the same to the same request."""

import hashlib
import re
from collections.abc import Iterator

from meshgate.dialects.neutral import (
    ChatEvent,
    ChatRequest,
    ChatResponse,
    Finished,
    FinishReason,
    Message,
    Role,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolResult,
    Usage,
)

_ECHOED_CHARACTERS = 500
_CHARACTERS_A_TOKEN = 4
_WORDS = re.compile(r"\S+\s*")


class DemoChat:
    """The answer to one request. Each of its words counts as one token.

    Args:
        request: What is asked.
        model: The model that is said to answer.
    """

    def __init__(self, request: ChatRequest, model: str) -> None:
        words: list[str] = _WORDS.findall(_text(request))
        limit = len(words) if request.max_output_tokens is None else request.max_output_tokens
        self.words = words[: max(0, limit)]
        self.finish_reason = FinishReason.STOP if limit >= len(words) else FinishReason.LENGTH
        self.usage = Usage(input_tokens=_input_tokens(request), output_tokens=len(self.words))
        self._id = _id(request)
        self._model = model

    def response(self) -> ChatResponse:
        """The whole answer."""
        text = "".join(self.words).rstrip()
        return ChatResponse(
            id=self._id,
            served_model=self._model,
            message=Message(role=Role.ASSISTANT, parts=(Text(text),)),
            finish_reason=self.finish_reason,
            usage=self.usage,
        )

    def events(self) -> Iterator[ChatEvent]:
        """The answer, a word at a time."""
        yield Started(id=self._id, served_model=self._model)
        for number, word in enumerate(self.words, start=1):
            yield TextDelta(word.rstrip() if number == len(self.words) else word)
        yield Finished(reason=self.finish_reason, usage=self.usage)


def rough_tokens(text: str) -> int:
    """About as many tokens as a model would count in the text."""
    return -(-len(text) // _CHARACTERS_A_TOKEN)


def _text(request: ChatRequest) -> str:
    said = _last_words(request).strip()
    if len(said) > _ECHOED_CHARACTERS:
        said = said[:_ECHOED_CHARACTERS] + "..."
    return f"This is Meshgate's demo provider; no model was asked. You said: {said or 'nothing.'}"


def _last_words(request: ChatRequest) -> str:
    """The text of the last message of the user."""
    for message in reversed(request.messages):
        if message.role is Role.USER:
            return "\n".join(part.text for part in message.parts if isinstance(part, Text))
    return ""


def _input_tokens(request: ChatRequest) -> int:
    return sum(
        rough_tokens(text) for message in request.messages for text in _texts_of(message)
    ) + len(request.messages)


def _texts_of(message: Message) -> Iterator[str]:
    for part in message.parts:
        if isinstance(part, Text | ToolResult):
            yield part.text
        elif isinstance(part, ToolCall):
            yield part.arguments_json


def _id(request: ChatRequest) -> str:
    digest = hashlib.sha256()
    for message in request.messages:
        for text in _texts_of(message):
            digest.update(text.encode(errors="replace") + b"\0")
    return f"chatcmpl-demo{digest.hexdigest()[:24]}"
