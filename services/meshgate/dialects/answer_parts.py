"""The parts of an answer, put together from the events that told them."""

from collections.abc import Sequence

from msgspec import Struct, structs

from meshgate.dialects.neutral import (
    ChatEvent,
    Citation,
    CitationDelta,
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
    is_custom: bool
    fragments: list[str]


class _Words(Struct):
    """More of what is said aloud: text, or a refusal; text begins somewhere in all of the text."""

    kind: type[TextDelta | RefusalDelta]
    fragments: list[str]
    citations: list[Citation]
    begins_at: int


class _Thought(Struct):
    fragments: list[str]
    end: ReasoningDelta | None = None


class AnswerParts:
    """Gathers what the events of one answer say, in the order in which each part begins."""

    def __init__(self) -> None:
        self._parts: list[_Call | _Words | _Thought] = []
        self._calls: dict[int, _Call] = {}
        self._texts: list[_Words] = []
        self._text_length = 0

    @property
    def call_count(self) -> int:
        """How many tool calls have begun."""
        return len(self._calls)

    def take(self, event: ChatEvent) -> int:
        """Take the next event, and say how many bytes of text it has brought."""
        match event:
            case TextDelta(text) | RefusalDelta(text):
                self._words(type(event)).fragments.append(text)
                self._text_length += len(text) if isinstance(event, TextDelta) else 0
                return text_bytes(text)
            case ReasoningDelta():
                return self._think(event)
            case CitationDelta(citation):
                self._cite(citation)
                return text_bytes(citation.quoted + citation.uri + citation.title)
            case ToolCallDelta():
                return self._call(event)
        return 0

    def whole(self) -> list[Part]:
        """All of them."""
        return [whole for part in self._parts if (whole := _whole(part)) is not None]

    def spoken(self) -> list[Part]:
        """What was said aloud: text and refusal."""
        return [part for part in self.whole() if isinstance(part, Text | Refusal)]

    def clear(self) -> None:
        """Forget all of them."""
        self._parts.clear()
        self._calls.clear()
        self._texts.clear()

    def _cite(self, citation: Citation) -> None:
        """Add it to the text that it is of, though others may have begun since."""
        at = citation.start
        began = (it for it in reversed(self._texts) if at is None or it.begins_at <= at)
        words = next(began, None) or self._words(TextDelta)
        words.citations.append(moved(citation, -words.begins_at))

    def _words(self, kind: type[TextDelta | RefusalDelta]) -> _Words:
        last = self._parts[-1] if self._parts else None
        if not (isinstance(last, _Words) and last.kind is kind):
            last = _Words(kind, [], [], self._text_length)
            self._parts.append(last)
            if kind is TextDelta:
                self._texts.append(last)
        return last

    def _think(self, event: ReasoningDelta) -> int:
        last = self._parts[-1] if self._parts else None
        if event.is_redacted or not (isinstance(last, _Thought) and last.end is None):
            last = _Thought([])
            self._parts.append(last)
        last.fragments.append(event.text)
        if event.signature or event.id:
            last.end = event
        return text_bytes(event.text) + len(event.signature)

    def _call(self, event: ToolCallDelta) -> int:
        call = self._calls.get(event.index)
        if call is None:
            call = self._calls[event.index] = _Call(event.id, event.name, event.is_custom, [])
            self._parts.append(call)
        call.fragments.append(event.arguments_fragment)
        return text_bytes(event.id + event.name + event.arguments_fragment)


def moved(citation: Citation, by: int) -> Citation:
    """A citation whose places are counted from elsewhere."""
    if not by:
        return citation
    start, end = (at if at is None else at + by for at in (citation.start, citation.end))
    return structs.replace(citation, start=start, end=end)


def text_bytes(text: str) -> int:
    """How long a text is in UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _whole(part: _Call | _Words | _Thought) -> Part | None:
    match part:
        case _Call():
            arguments = _joined(part.fragments)
            return ToolCall(
                id=part.id, name=part.name, arguments_json=arguments, is_custom=part.is_custom
            )
        case _Thought():
            return _reasoning(_joined(part.fragments), part.end)
        case _Words(kind, fragments, citations):
            text = _joined(fragments)
            if kind is RefusalDelta:
                return Refusal(text) if text else None
            return Text(text, tuple(citations)) if text or citations else None


def _reasoning(text: str, end: ReasoningDelta | None) -> Reasoning | None:
    if end is None:
        return Reasoning(text=text) if text else None
    return Reasoning(
        text=text,
        signature=end.signature,
        origin=end.origin,
        is_redacted=end.is_redacted,
        id=end.id,
    )


def _joined(fragments: Sequence[str]) -> str:
    return "".join(fragments)
