"""The parts of an answer, put together from the events that told them."""

from msgspec import Struct

from meshgate.dialects.neutral import (
    ChatEvent,
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


class _Call(Struct):
    id: str
    name: str
    fragments: list[str]


class AnswerParts:
    """Gathers what the events of one answer say."""

    def __init__(self) -> None:
        self._texts: dict[type[ChatEvent], list[str]] = {}
        self._calls: dict[int, _Call] = {}

    @property
    def call_count(self) -> int:
        """How many tool calls have begun."""
        return len(self._calls)

    def take(self, event: ChatEvent) -> int:
        """Take the next event, and say how many bytes of text it has brought."""
        match event:
            case TextDelta(text) | ReasoningDelta(text) | RefusalDelta(text):
                self._texts.setdefault(type(event), []).append(text)
                return text_bytes(text)
            case ToolCallDelta():
                call = self._calls.setdefault(event.index, _Call(event.id, event.name, []))
                call.fragments.append(event.arguments_fragment)
                return text_bytes(event.id + event.name + event.arguments_fragment)
        return 0

    def whole(self) -> list[Part]:
        """All of them: thoughts, what was said aloud, tool calls by their number."""
        thought = self._text(ReasoningDelta)
        return [
            *([Reasoning(text=thought)] if thought else ()),
            *self.spoken(),
            *(
                ToolCall(id=call.id, name=call.name, arguments_json="".join(call.fragments))
                for _, call in sorted(self._calls.items())
            ),
        ]

    def spoken(self) -> list[Part]:
        """What was said aloud: text and refusal."""
        text, refusal = self._text(TextDelta), self._text(RefusalDelta)
        return [*([Text(text)] if text else ()), *([Refusal(refusal)] if refusal else ())]

    def clear(self) -> None:
        """Forget all of them."""
        self._texts.clear()
        self._calls.clear()

    def _text(self, kind: type[ChatEvent]) -> str:
        return "".join(self._texts.get(kind, ()))


def text_bytes(text: str) -> int:
    """How long a text is in UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))
