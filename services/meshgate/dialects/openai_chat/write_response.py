"""Writes chat completions from the neutral form: whole answers, and streams as they come."""

from meshgate.dialects.neutral import (
    ChatResponse,
    Part,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.openai_chat.chunks import FORM, write_delta
from meshgate.dialects.openai_chat.messages import write_assistant
from meshgate.dialects.openai_choices import write_response
from meshgate.dialects.openai_choices.chunks import Identity
from meshgate.dialects.openai_choices.write_response import ChoiceWriter


def write(response: ChatResponse, *, created: int) -> bytes:
    """Write a whole answer; `created` is in seconds since 1970.

    The signature of a thought has no place here and is left out: no client of this dialect can
    send it back.

    Raises:
        UnsupportedError: The answer holds what this dialect cannot express.
    """
    said: dict[str, object] = {"message": _message(response.message.parts)}
    return write_response.write(response, said, object_name="chat.completion", created=created)


class StreamWriter(ChoiceWriter):
    """Writes one streamed answer."""

    form = FORM

    def write_delta(
        self,
        identity: Identity,
        event: TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta,
    ) -> bytes:
        return write_delta(identity, _delta(event))


def _delta(
    event: TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta,
) -> dict[str, object]:
    match event:
        case TextDelta():
            return {"content": event.text}
        case ReasoningDelta():
            return {"reasoning_content": event.text}
        case RefusalDelta():
            return {"refusal": event.text}
        case ToolCallDelta():
            return {"tool_calls": [_fragment(event)]}


def _fragment(delta: ToolCallDelta) -> dict[str, object]:
    function = {"arguments": delta.arguments_fragment}
    if not delta.id:
        return {"index": delta.index, "function": function}
    function = {"name": delta.name} | function
    return {"index": delta.index, "id": delta.id, "type": "function", "function": function}


def _message(parts: tuple[Part, ...]) -> dict[str, object]:
    for number, part in enumerate(parts):
        if not isinstance(part, Text | Refusal | Reasoning | ToolCall):
            raise unsupported(f"message.parts[{number}]")
    texts = [part.text for part in parts if isinstance(part, Text)]
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    message = write_assistant([part for part in parts if isinstance(part, Reasoning | ToolCall)])
    # Unlike in a request, an answer's content is one text, and a refusal has its own place.
    message["content"] = "".join(texts) if texts else None
    message["refusal"] = "".join(refusals) if refusals else None
    return message
