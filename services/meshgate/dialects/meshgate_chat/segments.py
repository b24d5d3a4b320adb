"""The texts of the typed API's requests and answers."""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.message import DecodeError, Message
from msgspec import Struct

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.segments import Segment, SegmentKind
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import chat_pb2, gateway_service_pb2


class _Found(Struct, frozen=True):
    """A text: the message whose field it is, and the field."""

    segment: Segment
    owner: Any
    field: str

    @property
    def is_bytes(self) -> bool:
        return isinstance(getattr(self.owner, self.field), bytes)


class MessageCut:
    """A message of the typed API, and the texts in it."""

    def __init__(self, message: Message, found: Iterator[_Found]) -> None:
        self._message = message
        self._found = {each.segment.locator: each for each in found if each.segment.text}
        self.segments = [each.segment for each in self._found.values()]

    def masked(self, texts: Mapping[str, str]) -> bytes:
        """The message with these texts in place of its own."""
        for locator, text in texts.items():
            found = self._found[locator]
            setattr(found.owner, found.field, text.encode() if found.is_bytes else text)
            if isinstance(found.owner, chat_pb2.Reasoning):
                found.owner.ClearField("signature")  # it proves another thought
        return self._message.SerializeToString()


def cut_request(body: bytes) -> MessageCut:
    """Take the texts out of a request.

    Raises:
        InvalidRequestError: It is no ChatRequest.
    """
    try:
        request = gateway_service_pb2.ChatRequest.FromString(body)
    except DecodeError as error:
        raise InvalidRequestError("the message cannot be read") from error
    return MessageCut(request, _of_request(request))


def cut_answer(body: bytes) -> MessageCut:
    """Take the texts out of a plain answer.

    Raises:
        MalformedAnswerError: It is no ChatResponse.
    """
    answer = _answer(body)
    return MessageCut(answer, _of_message(answer.message, "message"))


def blocked_answer(body: bytes) -> bytes:
    """Write a plain answer of which nothing may be shown but what it cost.

    Raises:
        MalformedAnswerError: It is no ChatResponse.
    """
    answer = _answer(body)
    blocked = gateway_service_pb2.ChatResponse(
        id=answer.id,
        served_model=answer.served_model,
        message=chat_pb2.Message(role=chat_pb2.ROLE_ASSISTANT),
        finish_reason=chat_pb2.FINISH_REASON_CONTENT_FILTER,
    )
    if answer.HasField("usage"):
        blocked.usage.CopyFrom(answer.usage)
    return blocked.SerializeToString()


def _answer(body: bytes) -> gateway_service_pb2.ChatResponse:
    try:
        return gateway_service_pb2.ChatResponse.FromString(body)
    except DecodeError as error:
        raise MalformedAnswerError("the answer is no ChatResponse") from error


def _of_request(request: gateway_service_pb2.ChatRequest) -> Iterator[_Found]:
    for at, message in enumerate(request.messages):
        yield from _of_message(message, f"messages[{at}]")
    yield _json("extra_json", request, "extra_json")


def _of_message(message: chat_pb2.Message, at: str) -> Iterator[_Found]:
    yield _text(f"{at}.name", message, "name")
    for number, part in enumerate(message.parts):
        yield from _of_part(part, f"{at}.parts[{number}]")


def _of_part(part: chat_pb2.Part, at: str) -> Iterator[_Found]:
    match part.WhichOneof("kind"):
        case "text" | "refusal" as kind:
            yield _text(f"{at}.{kind}", part, kind)
            yield from _of_citations(part, at)
        case "tool_result":
            yield _text(f"{at}.tool_result.text", part.tool_result, "text")
            for number, piece in enumerate(part.tool_result.content):
                yield from _of_part(piece, f"{at}.tool_result.content[{number}]")
        case "reasoning":
            yield _text(f"{at}.reasoning.text", part.reasoning, "text")
        case "tool_call":
            takes = SegmentKind.TEXT if part.tool_call.custom else SegmentKind.JSON
            yield _json(f"{at}.tool_call.arguments_json", part.tool_call, "arguments_json", takes)


def _of_citations(part: chat_pb2.Part, at: str) -> Iterator[_Found]:
    for number, citation in enumerate(part.citations):
        yield _text(f"{at}.citations[{number}].title", citation, "title")
        yield _text(f"{at}.citations[{number}].quoted", citation, "quoted")


def _text(locator: str, owner: Message, field: str) -> _Found:
    return _Found(Segment(locator, SegmentKind.TEXT, getattr(owner, field)), owner, field)


def _json(locator: str, owner: Message, field: str, kind: SegmentKind = SegmentKind.JSON) -> _Found:
    text = getattr(owner, field).decode(errors="replace")
    return _Found(Segment(locator, kind, text), owner, field)
