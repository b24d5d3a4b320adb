"""Counts streamed answers of the typed API, and ends them."""

from meshgate.dialects.meshgate_chat.usage import write_finish_reason, write_usage
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.tallied_text import DEFAULT_LIMIT_BYTES, TextTally
from meshgate.v1 import chat_pb2


class OutputTally(TextTally):
    """Counts one stream.

    Args:
        answer_id: The stream's id, if it ends before it has begun.
        served_model: And its model.
        created: As other dialects want it; the messages have no place for it.
        limit_bytes: How much text is kept.
    """

    def __init__(
        self,
        *,
        answer_id: str,
        served_model: str,
        created: int,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> None:
        del created
        super().__init__(limit_bytes)
        self._started = chat_pb2.ChatStarted(id=answer_id, served_model=served_model)
        self._sequence_number = 0

    def take(self, chunk: bytes) -> None:
        """Take note of a chunk: a serialized ChatEvents.

        What is cited is not counted: the source has written it, not the model.
        """
        for event in chat_pb2.ChatEvents.FromString(chunk).events:
            self._sequence_number = event.sequence_number + 1
            kind = event.WhichOneof("kind")
            if kind == "text_delta":
                self._text.add(kind, event.text_delta)
            elif kind == "tool_call_delta":
                delta = event.tool_call_delta
                self._text.add(kind, delta.name + delta.arguments_fragment)
            elif kind == "reasoning_delta":
                self._text.add(kind, event.reasoning_delta)
            elif kind == "refusal_delta":
                self._text.add(kind, event.refusal_delta)
            elif kind == "finished":
                self.ended = True

    def ending(self, reason: FinishReason, usage: Usage | None, *, include_usage: bool) -> bytes:
        """The events that end the stream; the usage is always told."""
        del include_usage
        if self.ended:
            return b""
        events = []
        if self._sequence_number == 0:
            events.append(chat_pb2.ChatEvent(started=self._started))
        finished = chat_pb2.ChatFinished(
            reason=write_finish_reason(reason), usage=write_usage(usage)
        )
        events.append(chat_pb2.ChatEvent(finished=finished))
        for number, event in enumerate(events, start=self._sequence_number):
            event.sequence_number = number
        return chat_pb2.ChatEvents(events=events).SerializeToString()
