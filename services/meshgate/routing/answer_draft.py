"""An answer as it is written: what will stay of it in a conversation."""

from msgspec import Struct

from meshgate.dialects.neutral import (
    ChatEvent,
    Finished,
    FinishReason,
    Message,
    Part,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Role,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from meshgate.routing.conversation import text_bytes
from meshgate.runtime.errors import RequestTooLargeError

_CUT = {FinishReason.LENGTH, FinishReason.CONTENT_FILTER}


class _Call(Struct):
    id: str
    name: str
    fragments: list[str]


class AnswerDraft:
    """Gathers the events of one answer.

    Args:
        most_bytes: How long it may become.

    Attributes:
        is_finished: Whether the answer is whole.
    """

    def __init__(self, most_bytes: int) -> None:
        self.is_finished = False
        self._is_cut = False
        self._room_bytes = most_bytes
        self._texts: dict[type, list[str]] = {}
        self._calls: dict[int, _Call] = {}

    def take(self, event: ChatEvent) -> None:
        """Take the next event.

        Raises:
            RequestTooLargeError: The answer has become too long to be kept.
        """
        match event:
            case TextDelta() | ReasoningDelta() | RefusalDelta():
                self._count(event.text)
                self._texts.setdefault(type(event), []).append(event.text)
            case ToolCallDelta():
                self._count(event.id + event.name + event.arguments_fragment)
                call = self._calls.setdefault(event.index, _Call(event.id, event.name, []))
                call.fragments.append(event.arguments_fragment)
            case Finished():
                self.is_finished = True
                self._is_cut = event.reason in _CUT

    def whole(self) -> Message | None:
        """The answer; None where nothing was said.

        Of one that was cut before its end stays what was said aloud: nobody can tell whether its last
        tool call is whole, and no result of one would ever come.
        """
        if self._is_cut:
            return self.spoken()
        parts: list[Part] = []
        if thought := self._text(ReasoningDelta):
            parts.append(Reasoning(text=thought))
        parts += self._spoken_parts()
        parts += [
            ToolCall(id=call.id, name=call.name, arguments_json="".join(call.fragments))
            for _, call in sorted(self._calls.items())
        ]
        return _message(parts)

    def spoken(self) -> Message | None:
        """What was said aloud until now, without thoughts and tool calls; None where nothing was."""
        return _message(self._spoken_parts())

    def _spoken_parts(self) -> list[Part]:
        parts: list[Part] = []
        if text := self._text(TextDelta):
            parts.append(Text(text))
        if refusal := self._text(RefusalDelta):
            parts.append(Refusal(refusal))
        return parts

    def _text(self, kind: type) -> str:
        return "".join(self._texts.get(kind, ()))

    def _count(self, text: str) -> None:
        self._room_bytes -= text_bytes(text)
        if self._room_bytes < 0:
            raise RequestTooLargeError(
                "the answer is longer than what this conversation can still hold: begin another one"
            )


def _message(parts: list[Part]) -> Message | None:
    return Message(role=Role.ASSISTANT, parts=tuple(parts)) if parts else None
