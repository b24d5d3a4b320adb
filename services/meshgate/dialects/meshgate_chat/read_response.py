"""Reads answers of the typed API into the neutral form: a ChatResponse, or streamed ChatEvents."""

from google.protobuf.message import DecodeError

from meshgate.dialects.answers import CutStreamError, MalformedAnswerError
from meshgate.dialects.meshgate_chat import conversation
from meshgate.dialects.meshgate_chat.usage import read_finish_reason, read_usage
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
from meshgate.dialects.upstream_stream import Progress
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import chat_pb2, gateway_service_pb2


def read(body: bytes) -> ChatResponse:
    """Read a whole answer.

    Raises:
        MalformedAnswerError: It is not a ChatResponse.
    """
    try:
        response = gateway_service_pb2.ChatResponse.FromString(body)
        message = conversation.read_message(response.message, "message")
    except (DecodeError, InvalidRequestError) as error:
        raise MalformedAnswerError("the answer is not a ChatResponse") from error
    return ChatResponse(
        id=response.id,
        served_model=response.served_model,
        message=message,
        finish_reason=read_finish_reason(response.finish_reason),
        usage=read_usage(response.usage) if response.HasField("usage") else None,
        stop_sequence=response.stop_sequence,
    )


class StreamReader(Progress):
    """Reads one streamed answer. Its errors are statuses of the RPC, never events."""

    def feed(self, data: bytes) -> list[ChatEvent]:
        """Take whole serialized ChatEvents and return what they say.

        Raises:
            MalformedAnswerError: They are no ChatEvents, or hold an event without a kind.
        """
        try:
            events = chat_pb2.ChatEvents.FromString(data).events
        except DecodeError as error:
            raise MalformedAnswerError("a chunk of the answer is no ChatEvents") from error
        return [self.read(event) for event in events]

    def close(self) -> list[ChatEvent]:
        """Take the end of the stream; nothing is owed.

        Raises:
            CutStreamError: The answer is not whole.
        """
        if not self.done:
            raise CutStreamError("the stream ended before the answer did")
        return []

    def read(self, event: chat_pb2.ChatEvent) -> ChatEvent:
        """Take one event, and return what it says.

        Raises:
            MalformedAnswerError: It has no kind.
        """
        match event.WhichOneof("kind"):
            case "started":
                self.started = True
                self.served_model = event.started.served_model
                return Started(id=event.started.id, served_model=self.served_model)
            case "finished":
                return self._finish(event.finished)
            case _:
                return _delta(event)

    def _finish(self, finished: chat_pb2.ChatFinished) -> Finished:
        self.done = True
        self.finish_reason = read_finish_reason(finished.reason)
        self.usage = read_usage(finished.usage) if finished.HasField("usage") else None
        return Finished(
            reason=self.finish_reason, usage=self.usage, stop_sequence=finished.stop_sequence
        )


def _delta(event: chat_pb2.ChatEvent) -> ChatEvent:
    match event.WhichOneof("kind"):
        case "text_delta":
            return TextDelta(event.text_delta)
        case "reasoning_delta":
            return ReasoningDelta(event.reasoning_delta)
        case "reasoning_end":
            end = event.reasoning_end
            return ReasoningDelta("", end.signature, end.origin, end.redacted, end.id)
        case "citation":
            return CitationDelta(conversation.read_citation(event.citation))
        case "refusal_delta":
            return RefusalDelta(event.refusal_delta)
        case "tool_call_delta":
            delta = event.tool_call_delta
            return ToolCallDelta(
                index=delta.index,
                id=delta.id,
                name=delta.name,
                arguments_fragment=delta.arguments_fragment,
                is_custom=delta.custom,
            )
        case _:
            raise MalformedAnswerError("an event of the answer has no kind")
