"""Writes answers of the typed API from the neutral form: a ChatResponse, or streamed ChatEvents."""

from collections.abc import Iterable, Iterator

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
        stop_sequence=response.stop_sequence,
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
            events=[self._numbered(each) for event in events for each in _all_written(event)]
        ).SerializeToString()

    def _numbered(self, event: chat_pb2.ChatEvent) -> chat_pb2.ChatEvent:
        event.sequence_number = self._sequence_number
        self._sequence_number += 1
        return event


def _all_written(event: ChatEvent) -> Iterator[chat_pb2.ChatEvent]:
    if isinstance(event, ReasoningDelta):
        yield from _thought(event)
    else:
        yield _written(event)


def _thought(event: ReasoningDelta) -> Iterator[chat_pb2.ChatEvent]:
    """More of a thought, and its end, where that comes with it."""
    is_end = bool(event.signature or event.id)
    if event.text or not is_end:
        yield chat_pb2.ChatEvent(reasoning_delta=event.text)
    if is_end:
        end = chat_pb2.ReasoningEnd(
            signature=event.signature,
            origin=event.origin,
            redacted=event.is_redacted,
            id=event.id,
        )
        yield chat_pb2.ChatEvent(reasoning_end=end)


def _written(
    event: Started | TextDelta | CitationDelta | RefusalDelta | ToolCallDelta | Finished,
) -> chat_pb2.ChatEvent:
    match event:
        case TextDelta():
            return chat_pb2.ChatEvent(text_delta=event.text)
        case CitationDelta():
            return chat_pb2.ChatEvent(citation=conversation.write_citation(event.citation))
        case RefusalDelta():
            return chat_pb2.ChatEvent(refusal_delta=event.text)
        case ToolCallDelta():
            return chat_pb2.ChatEvent(tool_call_delta=_tool_call_delta(event))
        case Started():
            started = chat_pb2.ChatStarted(id=event.id, served_model=event.served_model)
            return chat_pb2.ChatEvent(started=started)
        case Finished():
            finished = chat_pb2.ChatFinished(
                reason=write_finish_reason(event.reason),
                usage=write_usage(event.usage),
                stop_sequence=event.stop_sequence,
            )
            return chat_pb2.ChatEvent(finished=finished)


def _tool_call_delta(delta: ToolCallDelta) -> chat_pb2.ToolCallDelta:
    return chat_pb2.ToolCallDelta(
        index=delta.index,
        id=delta.id,
        name=delta.name,
        arguments_fragment=delta.arguments_fragment,
        custom=delta.is_custom,
    )
