"""Writes answers of the typed API from the neutral form: a ChatResponse, or streamed ChatEvents."""

from collections.abc import Iterable

from meshgate.dialects.meshgate_chat import conversation
from meshgate.dialects.meshgate_chat.usage import write_finish_reason, write_usage
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    CitationDelta,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
)
from meshgate.v1 import chat_pb2, gateway_service_pb2


def write(response: ChatResponse, *, created: int) -> bytes:
    """Write a whole answer. The message has no place for `created`."""
    del created
    return gateway_service_pb2.ChatResponse(
        id=response.id,
        served_model=response.served_model,
        message=conversation.write_message(response.message),
        finish_reason=write_finish_reason(response.finish_reason),
        usage=write_usage(response.usage),
    ).SerializeToString()


class StreamWriter:
    """Writes one streamed answer, numbering its events.

    Args:
        created: As other dialects want it; the messages have no place for it.
        include_usage: As other dialects want it; the last event always holds the usage.
    """

    def __init__(self, *, created: int, include_usage: bool) -> None:
        del created, include_usage
        self._sequence_number = 0

    def write(self, events: Iterable[ChatEvent]) -> bytes:
        """Write the next events as one serialized ChatEvents; empty if there are none."""
        return chat_pb2.ChatEvents(
            events=[
                self._numbered(_written(event))
                for event in events
                if not isinstance(event, CitationDelta)
            ]
        ).SerializeToString()

    def _numbered(self, event: chat_pb2.ChatEvent) -> chat_pb2.ChatEvent:
        event.sequence_number = self._sequence_number
        self._sequence_number += 1
        return event


def _written(
    event: Started | TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta | Finished,
) -> chat_pb2.ChatEvent:
    match event:
        case TextDelta():
            return chat_pb2.ChatEvent(text_delta=event.text)
        case ReasoningDelta():
            return chat_pb2.ChatEvent(reasoning_delta=event.text)
        case RefusalDelta():
            return chat_pb2.ChatEvent(refusal_delta=event.text)
        case ToolCallDelta():
            return chat_pb2.ChatEvent(tool_call_delta=_tool_call_delta(event))
        case Started():
            started = chat_pb2.ChatStarted(id=event.id, served_model=event.served_model)
            return chat_pb2.ChatEvent(started=started)
        case Finished():
            finished = chat_pb2.ChatFinished(
                reason=write_finish_reason(event.reason), usage=write_usage(event.usage)
            )
            return chat_pb2.ChatEvent(finished=finished)


def _tool_call_delta(delta: ToolCallDelta) -> chat_pb2.ToolCallDelta:
    return chat_pb2.ToolCallDelta(
        index=delta.index,
        id=delta.id,
        name=delta.name,
        arguments_fragment=delta.arguments_fragment,
    )
