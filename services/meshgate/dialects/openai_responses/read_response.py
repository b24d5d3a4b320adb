"""Reads responses into the neutral form: whole answers, and streams as they come.

Items that the neutral form does not know are those of tools that OpenAI runs itself, which no
translated request asks for: they say nothing to the caller and are passed over.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Raw, Struct, field

from meshgate.dialects import sse
from meshgate.dialects.answers import (
    UNREADABLE,
    MalformedAnswerError,
)
from meshgate.dialects.call_names import CallNames
from meshgate.dialects.neutral import (
    ChatEvent,
    ChatResponse,
    CitationDelta,
    Finished,
    FinishReason,
    Message,
    Part,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Role,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from meshgate.dialects.openai_responses import annotations, status, thought, wire
from meshgate.dialects.openai_responses import usage as usage_object
from meshgate.dialects.openai_responses.bounds import EVENT_LIMIT_BYTES
from meshgate.dialects.openai_responses.wire import Content, OutputItem, Response
from meshgate.dialects.upstream_stream import ReadStream

_RESPONSE = msgspec.json.Decoder(Response)
_BETWEEN = "\n\n"  # between the parts of a thought


class _Told(Struct):
    """How much of an item has been told: characters by part, what it cites, and whether all of it.

    `number` is that of the call that it is; None for what is none.
    """

    number: int | None = None
    lengths: dict[tuple[str, int], int] = field(default_factory=dict)
    cited: dict[int, int] = field(default_factory=dict)
    is_whole: bool = False


class _Event(Struct):
    """What an event may hold."""

    type: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    item_id: str | None = None
    item: OutputItem | None = None
    delta: Raw = Raw()
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: Raw = Raw()
    annotation: Raw = Raw()
    response: Response | None = None


_EVENT = msgspec.json.Decoder(_Event)
_TEXT_MEMBERS = {
    "response.output_text": "output_text",
    "response.refusal": "refusal",
    "response.reasoning_text": "reasoning_text",
    "response.reasoning_summary_text": "summary_text",
    "response.function_call_arguments": "call",
    "response.custom_tool_call_input": "call",
}


def read(body: bytes) -> ChatResponse:
    """Read a whole answer.

    Raises:
        MalformedAnswerError: It is not a response, or one that failed.
    """
    response = wire.decoded(_RESPONSE, body)
    if response.output is None or response.status in ("failed", "cancelled"):
        raise MalformedAnswerError("the upstream's answer is not a response that was given")
    return ChatResponse(
        id=response.id or "",
        served_model=response.model or "",
        message=Message(
            role=Role.ASSISTANT,
            parts=tuple(_output(response.output)),
        ),
        finish_reason=finish_reason(response),
        usage=usage_object.read(response.usage, response.service_tier),
    )


def finish_reason(response: Response) -> FinishReason:
    """Why an answer ended."""
    details = response.incomplete_details
    types = [item.type for item in response.output or ()]
    return status.read(response.status, details.reason if details else None, types)


def failed_usage(data: bytes) -> Usage | None:
    """What an answer has consumed that failed, where the event says so."""
    try:
        response = _EVENT.decode(data).response
    except UNREADABLE:
        return None
    if response is None:
        return None
    return usage_object.read(response.usage, response.service_tier)


def _output(items: list[OutputItem]) -> Iterator[Part]:
    names = CallNames()
    for at, item in enumerate(items):
        if item.type in status.CALLS:
            yield ToolCall(
                id=names.id_of(item.name, item.call_id or item.id, f"call_{at}"),
                name=item.name or "",
                arguments_json=item.argument_text,
                is_custom=item.type == "custom_tool_call",
            )
        else:
            yield from _parts(item)


def _parts(item: OutputItem) -> list[Part]:
    if item.type == "message":
        return [part for content in item.content or () if (part := _spoken(content)) is not None]
    if item.type == "reasoning":
        told = _BETWEEN.join(part.text or "" for part in _thoughts(item))
        signature = (item.encrypted_content or "").encode(errors="replace")
        origin = thought.DIALECT if signature else ""
        if not (told or signature):
            return []  # its name alone means nothing, as it was not stored
        return [Reasoning(text=told, signature=signature, origin=origin, id=item.id or "")]
    return []


def _spoken(content: Content) -> Part | None:
    if content.type == "output_text":
        return Text(content.text or "", annotations.read(content.annotations or ()))
    return Refusal(content.refusal or "") if content.type == "refusal" else None


def _thoughts(item: OutputItem) -> list[Content]:
    return item.content or item.summary or []


class StreamReader(ReadStream[sse.Event]):
    """Reads one streamed answer.

    Every text is told three times: in pieces, when its part ends, and when all does. What was not told
    in pieces is taken from where it stands first.
    """

    def __init__(self) -> None:
        super().__init__(sse.EventReader(EVENT_LIMIT_BYTES))
        self._id = ""
        self._items: dict[int, _Told] = {}
        self._types: dict[int, str] = {}
        self._indices: dict[str, int] = {}
        self._calls = 0
        self._names = CallNames()

    def _take(self, event: sse.Event, told: list[ChatEvent]) -> None:
        if event.data == b"[DONE]":  # not of this API, but some servers send it after the end
            return
        event_type = wire.type_of(event.data, event.name)
        if event_type in wire.FAILURES:
            self.error = wire.error_in(event_type, event.data)
            self.usage = failed_usage(event.data)
        else:
            content = wire.decoded(_EVENT, event.data)
            content.type = event_type
            self._read(content, told)

    def _read(self, event: _Event, read: list[ChatEvent]) -> None:
        if event.response is not None:
            self._id = event.response.id or self._id
            self.served_model = event.response.model or self.served_model
        if event.type in wire.CREATED:
            return
        if not self.started:
            self.started = True
            read.append(Started(id=self._id, served_model=self.served_model))
        if event.type in wire.ENDS:
            self._finish(event.response or Response(), read)
        elif event.type == "response.output_item.added" and event.item is not None:
            self._begin(self._new_index(event.output_index, event.item), event.item, read)
        elif event.type == "response.output_item.done" and event.item is not None:
            self._finish_item(self._index_of(event, event.item.id), event.item, read)
        elif event.type == "response.output_text.annotation.added":
            self._cite(event, read)
        else:
            self._add(event, read)

    def _new_index(self, index: int, item: OutputItem) -> int:
        """The place of an item; some upstreams give all of them the same."""
        if index in self._items and item.id not in self._indices:
            index = max(self._items) + 1
        if item.id:
            index = self._indices.setdefault(item.id, index)
        return index

    def _index_of(self, event: _Event, item_id: str | None) -> int:
        return self._indices.get(item_id or "", event.output_index)

    def _begin(self, index: int, item: OutputItem, read: list[ChatEvent]) -> _Told:
        told = self._items.get(index)
        if told is not None:
            return told
        told = self._items[index] = _Told()
        self._types[index] = item.type
        if item.type in status.CALLS:
            number = self._calls
            call_id = self._names.id_of(item.name, item.call_id or item.id, f"call_{number}")
            told.number = number
            self._calls += 1
            read.append(
                ToolCallDelta(
                    index=number,
                    id=call_id,
                    name=item.name or "",
                    is_custom=item.type == "custom_tool_call",
                )
            )
        return told

    def _add(self, event: _Event, read: list[ChatEvent]) -> None:
        """Take more of a text, or all of it."""
        stem, _, last = event.type.rpartition(".")
        kind = _TEXT_MEMBERS.get(stem)
        if kind is None:
            return
        index = self._index_of(event, event.item_id)
        told = self._items.get(index)
        if told is None:
            told = self._items[index] = _Told()
        place = event.summary_index if kind == "summary_text" else event.content_index
        if last == "delta":
            self._tell(told, kind, place, _string(event.delta), read)
        elif last == "done":
            whole = event.text or event.refusal or event.arguments or _string(event.input)
            self._tell_rest(told, kind, place, whole, read)

    def _tell(self, told: _Told, kind: str, place: int, text: str, read: list[ChatEvent]) -> None:
        if not text:
            return
        key = (kind, place)
        if kind in ("reasoning_text", "summary_text"):
            if _is_other(told, kind):
                return  # of a thought and what sums it up, the caller is told what came first
            if key not in told.lengths and told.lengths:
                read.append(ReasoningDelta(_BETWEEN))
            read.append(ReasoningDelta(text))
        elif kind == "output_text":
            read.append(TextDelta(text))
        elif kind == "refusal":
            read.append(RefusalDelta(text))
        elif told.number is None:
            raise MalformedAnswerError("the upstream adds to a call that has not begun")
        else:
            read.append(ToolCallDelta(index=told.number, arguments_fragment=text))
        told.lengths[key] = told.lengths.get(key, 0) + len(text)

    def _tell_rest(
        self, told: _Told, kind: str, place: int, whole: str, read: list[ChatEvent]
    ) -> None:
        """Tell what the pieces have left out of a text."""
        self._tell(told, kind, place, whole[told.lengths.get((kind, place), 0) :], read)

    def _cite(self, event: _Event, read: list[ChatEvent]) -> None:
        citation = annotations.read_one(event.annotation)
        told = self._items.get(self._index_of(event, event.item_id))
        if citation is not None and told is not None:
            told.cited[event.content_index] = told.cited.get(event.content_index, 0) + 1
            read.append(CitationDelta(citation))

    def _finish_item(self, index: int, item: OutputItem, read: list[ChatEvent]) -> None:
        told = self._begin(index, item, read)
        if told.is_whole:
            return
        told.is_whole = True
        if item.type == "message":
            self._finish_message(told, item, read)
        elif item.type == "reasoning":
            self._finish_thought(told, item, read)
        elif item.type in status.CALLS:
            self._tell_rest(told, "call", 0, item.argument_text, read)

    def _finish_message(self, told: _Told, item: OutputItem, read: list[ChatEvent]) -> None:
        for place, content in enumerate(item.content or ()):
            if content.type not in ("output_text", "refusal"):
                continue
            whole = content.text if content.type == "output_text" else content.refusal
            self._tell_rest(told, content.type, place, whole or "", read)
            cited = annotations.read(content.annotations or ())
            read += map(CitationDelta, cited[told.cited.get(place, 0) :])

    def _finish_thought(self, told: _Told, item: OutputItem, read: list[ChatEvent]) -> None:
        for place, content in enumerate(_thoughts(item)):
            kind = "reasoning_text" if item.content else "summary_text"
            self._tell_rest(told, kind, place, content.text or "", read)
        signature = (item.encrypted_content or "").encode(errors="replace")
        if signature or told.lengths:
            origin = thought.DIALECT if signature else ""
            read.append(ReasoningDelta("", signature, origin, id=item.id or ""))

    def _finish(self, response: Response, read: list[ChatEvent]) -> None:
        for index, item in enumerate(response.output or ()):
            self._finish_item(self._indices.get(item.id or "", index), item, read)
        if response.output is None:
            response.output = [OutputItem(type=kind) for kind in self._types.values()]
        self.finish_reason = finish_reason(response)
        self.usage = usage_object.read(response.usage, response.service_tier)
        self.done = True
        read.append(Finished(reason=self.finish_reason, usage=self.usage))


def _is_other(told: _Told, kind: str) -> bool:
    return any(known != kind for known, _ in told.lengths)


def _string(raw: Raw) -> str:
    if not bytes(raw).startswith(b'"'):
        return ""
    text = msgspec.json.decode(raw)
    return text if isinstance(text, str) else ""
