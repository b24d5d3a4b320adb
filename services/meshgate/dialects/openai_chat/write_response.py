"""Writes chat completions from the neutral form: whole answers, and streams as they come."""

from collections.abc import Iterable

import msgspec

from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    Finished,
    Part,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from meshgate.dialects.openai_api import usage as usage_object
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.openai_chat.chunks import DONE, Identity, write_choice, write_usage
from meshgate.dialects.openai_chat.finish_reason import write_finish_reason
from meshgate.dialects.openai_chat.messages import write_assistant


def write(response: ChatResponse, *, created: int) -> bytes:
    """Write a whole answer; `created` is in seconds since 1970.

    The signature of a thought has no place here and is left out: no client of this dialect can
    send it back.

    Raises:
        UnsupportedError: The answer holds what this dialect cannot express.
    """
    choice = {
        "index": 0,
        "message": _message(response.message.parts),
        "logprobs": None,
        "finish_reason": write_finish_reason(response.finish_reason),
    }
    members: dict[str, object] = {
        "id": response.id,
        "object": "chat.completion",
        "created": created,
        "model": response.served_model,
        "choices": [choice],
    }
    if response.usage is not None:
        members["usage"] = usage_object.write(response.usage)
    return msgspec.json.encode(members)


class StreamWriter:
    """Writes one streamed answer, ending with `[DONE]`.

    Args:
        created: Seconds since 1970.
        include_usage: Whether the caller wants the usage in a chunk of its own at the end.
    """

    def __init__(self, *, created: int, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._identity = Identity("", "", created)

    def write(self, events: Iterable[ChatEvent]) -> bytes:
        """Write the next events."""
        return b"".join(self._event(event) for event in events)

    def _event(self, event: ChatEvent) -> bytes:
        match event:
            case Started():
                created = self._identity.created
                self._identity = Identity(event.id, event.served_model, created)
                return write_choice(self._identity, {"role": "assistant", "content": ""})
            case Finished():
                return self._end(event)
            case _:
                return write_choice(self._identity, _delta(event))

    def _end(self, event: Finished) -> bytes:
        written = write_choice(self._identity, {}, write_finish_reason(event.reason))
        if self._include_usage and event.usage is not None:
            written += write_usage(self._identity, event.usage)
        return written + DONE


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
