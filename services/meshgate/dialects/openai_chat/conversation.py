"""The messages of a chat completion request, read into the neutral form."""

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Raw, Struct

from meshgate.dialects.neutral import (
    Audio,
    CachePoint,
    Citation,
    File,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from meshgate.dialects.openai_api.request_body import missing, unsupported
from meshgate.dialects.openai_chat import annotations, data_uri, thoughts
from meshgate.dialects.openai_chat.thoughts import ExtraContent
from meshgate.runtime.errors import InvalidRequestError


class CacheControl(Struct, forbid_unknown_fields=True):
    """Anthropic's hint, as many clients of this API write it too."""

    type: str
    ttl: str | None = None

    def read(self) -> CachePoint:
        return CachePoint(ttl=self.ttl or "")


class _TextPart(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    text: str
    cache_control: CacheControl | None = None


class _RefusalPart(Struct, tag_field="type", tag="refusal", forbid_unknown_fields=True):
    refusal: str


class _ImageUrl(Struct, forbid_unknown_fields=True):
    url: str
    detail: str | None = None


class _ImagePart(Struct, tag_field="type", tag="image_url", forbid_unknown_fields=True):
    image_url: _ImageUrl
    cache_control: CacheControl | None = None


class _InputAudio(Struct, forbid_unknown_fields=True):
    data: str
    format: str


class _AudioPart(Struct, tag_field="type", tag="input_audio", forbid_unknown_fields=True):
    input_audio: _InputAudio


class _FileContent(Struct, forbid_unknown_fields=True):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _FilePart(Struct, tag_field="type", tag="file", forbid_unknown_fields=True):
    file: _FileContent
    cache_control: CacheControl | None = None


_Part: TypeAlias = _TextPart | _RefusalPart | _ImagePart | _AudioPart | _FilePart


class _FunctionCall(Struct, forbid_unknown_fields=True):
    name: str
    arguments: str


class _ToolCall(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    id: str
    function: _FunctionCall
    index: int | None = None  # clients that gather a stream send it back
    extra_content: ExtraContent | None = None


class _CustomInput(Struct, forbid_unknown_fields=True):
    name: str
    input: str


class _CustomCall(Struct, tag_field="type", tag="custom", forbid_unknown_fields=True):
    id: str
    custom: _CustomInput
    index: int | None = None
    extra_content: ExtraContent | None = None


class WireMessage(Struct, forbid_unknown_fields=True):
    """A message as it stands in the JSON."""

    role: str
    content: str | list[_Part] | None = None
    name: str | None = None
    tool_calls: list[_ToolCall | _CustomCall] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Raw = Raw()
    reasoning_details: Raw = Raw()
    annotations: Raw = Raw()
    # Accepted where they are empty, as SDKs send back whole answers.
    audio: Raw = Raw()
    function_call: Raw = Raw()


_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,  # the same under its newer name
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
}
_EMPTY = (b"", b"null", b"[]")


def read(messages: Sequence[WireMessage]) -> tuple[Message, ...]:
    """Read the messages.

    Raises:
        InvalidRequestError: One breaks a rule of the API.
        UnsupportedError: The neutral form cannot express one.
    """
    return tuple(_message(message, f"messages[{at}]") for at, message in enumerate(messages))


def _message(message: WireMessage, at: str) -> Message:
    for field in ("audio", "function_call"):
        if bytes(getattr(message, field)) not in _EMPTY:
            raise unsupported(f"{at}.{field}")
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidRequestError(
            f"Invalid value for '{at}.role': expected system, developer, user, assistant or tool.",
            field=f"{at}.role",
        )
    if role is Role.TOOL:
        parts: tuple[Part, ...] = (_tool_result(message, at),)
    elif role is Role.ASSISTANT:
        parts = _assistant_parts(message, at)
    else:
        _refuse(message, at, "tool_calls", "tool_call_id", "refusal", "reasoning_content")
        if message.content is None:
            raise missing(f"{at}.content")
        parts = _content(message.content, at)
    return Message(role=role, parts=parts, name=message.name or "")


def _assistant_parts(message: WireMessage, at: str) -> tuple[Part, ...]:
    _refuse(message, at, "tool_call_id")
    parts: list[Part] = []
    parts += _thoughts(message)
    parts += _cited(_content(message.content or [], at), annotations.read(message.annotations))
    if message.refusal:
        parts.append(Refusal(message.refusal))
    for call in message.tool_calls or ():
        if (proof := thoughts.call_proof(call.extra_content)) is not None:
            parts.append(proof)
        parts.append(_call(call))
    return tuple(parts)


def _thoughts(message: WireMessage) -> list[Reasoning]:
    """What the model thought; the same is often told in several ways."""
    if details := thoughts.read(thoughts.details_in(message.reasoning_details)):
        return details
    text = message.reasoning_content or thoughts.text_in(message.reasoning)
    return [Reasoning(text=text)] if text else []


def _cited(parts: tuple[Part, ...], citations: tuple[Citation, ...]) -> tuple[Part, ...]:
    """The parts of an answer, whose last text is the one that cites."""
    if not (citations and parts and isinstance(parts[-1], Text)):
        return parts
    return (*parts[:-1], Text(parts[-1].text, citations))


def _call(call: _ToolCall | _CustomCall) -> ToolCall:
    if isinstance(call, _CustomCall):
        name, text = call.custom.name, call.custom.input
        return ToolCall(id=call.id, name=name, arguments_json=text, is_custom=True)
    return ToolCall(id=call.id, name=call.function.name, arguments_json=call.function.arguments)


def _tool_result(message: WireMessage, at: str) -> ToolResult:
    _refuse(message, at, "tool_calls", "refusal", "reasoning_content")
    if message.tool_call_id is None:
        raise missing(f"{at}.tool_call_id")
    content: list[Text | Image | File] = []
    for number, part in enumerate(_content(message.content or "", at)):
        if isinstance(part, CachePoint):
            continue  # there is no place for the hint within a result
        if not isinstance(part, Text | Image | File):
            raise unsupported(f"{at}.content[{number}]")
        content.append(part)
    return ToolResult(tool_call_id=message.tool_call_id, content=tuple(content))


def _refuse(message: WireMessage, at: str, *fields: str) -> None:
    for field in fields:
        if getattr(message, field):
            raise unsupported(f"{at}.{field}")


def _content(content: str | list[_Part], at: str) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),)
    parts: list[Part] = []
    for number, part in enumerate(content):
        parts.append(_part(part, f"{at}.content[{number}]"))
        if (hint := getattr(part, "cache_control", None)) is not None:
            parts.append(hint.read())
    return tuple(parts)


def _part(part: _Part, at: str) -> Part:
    match part:
        case _TextPart():
            return Text(part.text)
        case _RefusalPart():
            return Refusal(part.refusal)
        case _ImagePart():
            return _image(part.image_url, f"{at}.image_url.url")
        case _AudioPart():
            sound = data_uri.decode(part.input_audio.data, f"{at}.input_audio.data")
            return Audio(data=sound, format=part.input_audio.format)
        case _FilePart():
            return _file(part.file, f"{at}.file")


def _image(image: _ImageUrl, at: str) -> Image:
    detail = image.detail or ""
    if (found := data_uri.read(image.url, at)) is None:
        return Image(uri=image.url, detail=detail)
    return Image(data=found.data, media_type=found.media_type, detail=detail)


def _file(file: _FileContent, at: str) -> File:
    filename = file.filename or ""
    if file.file_id:
        if file.file_data:
            raise InvalidRequestError(f"Give either the data or the id in '{at}'.", field=at)
        return File(file_id=file.file_id, filename=filename)
    if not file.file_data:
        raise missing(f"{at}.file_data")
    if (found := data_uri.read(file.file_data, f"{at}.file_data")) is None:
        data = data_uri.decode(file.file_data, f"{at}.file_data")
        return File(data=data, filename=filename)
    return File(data=found.data, filename=filename, media_type=found.media_type)
