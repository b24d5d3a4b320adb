"""The input of a request for a response, read into the neutral form.

What the model said in one go is several items here, and one message there. The names of items are left
out, but for those of thoughts: they name nothing, as nothing is stored. `phase` and `status` are left
out too; they only describe what was said.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.neutral import (
    Audio,
    CachePoint,
    File,
    Image,
    Message,
    Part,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from meshgate.dialects.openai_api.request_body import decode, missing, unsupported
from meshgate.dialects.openai_chat import data_uri
from meshgate.dialects.openai_responses import annotations, stateless, thought
from meshgate.runtime.errors import InvalidRequestError


class _Breakpoint(Struct):
    """Marks what is worth being cached."""

    ttl: str | None = None


class _InputText(Struct, tag_field="type", tag="input_text", forbid_unknown_fields=True):
    text: str
    prompt_cache_breakpoint: _Breakpoint | None = None


class _InputImage(Struct, tag_field="type", tag="input_image", forbid_unknown_fields=True):
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: _Breakpoint | None = None


class _InputFile(Struct, tag_field="type", tag="input_file", forbid_unknown_fields=True):
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: _Breakpoint | None = None


class _Sound(Struct, forbid_unknown_fields=True):
    data: str
    format: str


class _InputAudio(Struct, tag_field="type", tag="input_audio", forbid_unknown_fields=True):
    input_audio: _Sound
    prompt_cache_breakpoint: _Breakpoint | None = None


class _OutputText(Struct, tag_field="type", tag="output_text", forbid_unknown_fields=True):
    text: str
    annotations: list[Raw] | None = None
    logprobs: Raw = Raw()


class _Refused(Struct, tag_field="type", tag="refusal", forbid_unknown_fields=True):
    refusal: str


class _Summary(Struct, tag_field="type", tag="summary_text", forbid_unknown_fields=True):
    text: str


class _Thought(Struct, tag_field="type", tag="reasoning_text", forbid_unknown_fields=True):
    text: str


_Content: TypeAlias = (
    _InputText
    | _InputImage
    | _InputFile
    | _InputAudio
    | _OutputText
    | _Refused
    | _Summary
    | _Thought
)


class _Kind(Struct):
    type: str | None = None


class _Item(Struct, forbid_unknown_fields=True):
    """An item as it stands in the JSON: the members of all kinds that can be translated."""

    type: str | None = None
    role: str | None = None
    content: str | list[_Content] | None = None
    id: str | None = None
    status: str | None = None
    phase: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[_Content] | None = None
    summary: list[_Content] | None = None
    encrypted_content: str | None = None
    # Accepted where they say nothing, as SDKs send back whole items.
    namespace: str | None = None
    caller: _Kind | None = None
    is_async: bool | None = msgspec.field(name="async", default=None)
    created_by: Raw = Raw()


class _Kinds(Struct):
    input: str | list[_Kind]


class _Body(Struct):
    input: str | list[_Item]


_KINDS = msgspec.json.Decoder(_Kinds)
_BODY = msgspec.json.Decoder(_Body)
_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,  # the same under its newer name
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
}
_CALLS = ("function_call", "custom_tool_call")
_RESULTS = ("function_call_output", "custom_tool_call_output")
_KNOWN = frozenset({None, "message", "reasoning", *_CALLS, *_RESULTS})
_SPOKEN: dict[Role, tuple[type[Part], ...]] = {
    Role.SYSTEM: (Text, CachePoint),
    Role.USER: (Text, Image, File, Audio, CachePoint),
    Role.ASSISTANT: (Text, Refusal, CachePoint),
}


def read(body: bytes) -> tuple[Message, ...]:
    """Read the member `input` of a body.

    Raises:
        InvalidRequestError: An item breaks a rule of the API.
        UnsupportedError: The neutral form cannot express one.
    """
    kinds = decode(_KINDS, body).input
    if isinstance(kinds, str):
        return (Message(role=Role.USER, parts=(Text(kinds),)),)
    for at, kind in enumerate(kinds):
        if kind.type == "item_reference":
            raise stateless.not_kept(f"input[{at}].type")
        if kind.type not in _KNOWN:
            raise unsupported(f"input[{at}].type")
    items = decode(_BODY, body).input
    messages: list[Message] = []
    for at, item in enumerate(items):
        if isinstance(item, _Item):
            _join(messages, _message(item, f"input[{at}]"))
    return tuple(messages)


def instructed(instructions: str | None, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages with the instructions before them."""
    if not instructions:
        return messages
    return (Message(role=Role.SYSTEM, parts=(Text(instructions),)), *messages)


def _join(messages: list[Message], message: Message) -> None:
    """Add a message; what the model says one after the other is one."""
    last = messages[-1] if messages else None
    if last is not None and last.role is message.role is Role.ASSISTANT:
        messages[-1] = Message(role=last.role, parts=(*last.parts, *message.parts))
    else:
        messages.append(message)


def _message(item: _Item, at: str) -> Message:
    _check(item, at)
    if item.type in _CALLS:
        return Message(role=Role.ASSISTANT, parts=(_call(item, at),))
    if item.type in _RESULTS:
        return Message(role=Role.TOOL, parts=(_result(item, at),))
    if item.type == "reasoning":
        said = item.content if isinstance(item.content, list) else []
        told = _thoughts(said) or _thoughts(item.summary or ())
        return Message(
            role=Role.ASSISTANT,
            parts=(thought.read(told, item.encrypted_content or "", item.id or ""),),
        )
    role = _ROLES.get(item.role or "")
    if role is None:
        raise InvalidRequestError(
            f"Invalid value for '{at}.role': expected system, developer, user or assistant.",
            field=f"{at}.role",
        )
    return Message(role=role, parts=_parts(item.content, role, at))


def _check(item: _Item, at: str) -> None:
    """Check that nothing is said which only OpenAI's own tools understand."""
    if item.namespace:
        raise unsupported(f"{at}.namespace")
    if item.is_async:
        raise unsupported(f"{at}.async")
    if item.caller is not None and item.caller.type != "direct":
        raise unsupported(f"{at}.caller")


def _thoughts(parts: Sequence[_Content]) -> str:
    return "\n\n".join(part.text for part in parts if isinstance(part, _Thought | _Summary))


def _call(item: _Item, at: str) -> ToolCall:
    is_custom = item.type == "custom_tool_call"
    member = "input" if is_custom else "arguments"
    text = item.input if is_custom else item.arguments
    for name, value in (("call_id", item.call_id), ("name", item.name), (member, text)):
        if value is None:
            raise missing(f"{at}.{name}")
    return ToolCall(
        id=item.call_id or "",
        name=item.name or "",
        arguments_json=text or "",
        is_custom=is_custom,
    )


def _result(item: _Item, at: str) -> ToolResult:
    if item.call_id is None:
        raise missing(f"{at}.call_id")
    if item.output is None:
        raise missing(f"{at}.output")
    if isinstance(item.output, str):
        return ToolResult(tool_call_id=item.call_id, content=(Text(item.output),))
    content: list[Text | Image | File] = []
    for number, part in enumerate(item.output):
        read = _part(part, f"{at}.output[{number}]")
        if not isinstance(read, Text | Image | File):
            raise unsupported(f"{at}.output[{number}].type")
        content.append(read)
    return ToolResult(tool_call_id=item.call_id, content=tuple(content))


def _parts(content: str | list[_Content] | None, role: Role, at: str) -> tuple[Part, ...]:
    if content is None:
        raise missing(f"{at}.content")
    if isinstance(content, str):
        return (Text(content),)
    parts: list[Part] = []
    for number, wire in enumerate(content):
        part = _part(wire, f"{at}.content[{number}]")
        if not isinstance(part, _SPOKEN[role]):
            raise unsupported(f"{at}.content[{number}].type")
        parts.append(part)
        mark = getattr(wire, "prompt_cache_breakpoint", None)
        if mark is not None:
            # The times of OpenAI's caches are longer than anybody else's longest.
            parts.append(CachePoint(ttl="1h" if mark.ttl else ""))
    return tuple(parts)


def _part(part: _Content, at: str) -> Part:
    match part:
        case _InputText():
            return Text(part.text)
        case _OutputText():
            return Text(part.text, annotations.read(part.annotations or ()))
        case _Refused():
            return Refusal(part.refusal)
        case _InputImage():
            return _image(part, at)
        case _InputFile():
            return _file(part, at)
        case _InputAudio(input_audio=sound):
            data = data_uri.decode(sound.data, f"{at}.input_audio.data")
            return Audio(data=data, format=sound.format)
        case _:
            raise InvalidRequestError(f"Invalid value for '{at}.type'.", field=f"{at}.type")


def _image(image: _InputImage, at: str) -> Image:
    detail = image.detail or ""
    if image.file_id:
        if image.image_url:
            raise InvalidRequestError(f"Give either the address or the id in '{at}'.", field=at)
        return Image(file_id=image.file_id, detail=detail)
    if not image.image_url:
        raise missing(f"{at}.image_url")
    if (found := data_uri.read(image.image_url, f"{at}.image_url")) is None:
        return Image(uri=image.image_url, detail=detail)
    return Image(data=found.data, media_type=found.media_type, detail=detail)


def _file(file: _InputFile, at: str) -> File:
    if file.detail not in (None, "auto"):
        raise unsupported(f"{at}.detail")
    if sum(map(bool, (file.file_data, file.file_id, file.file_url))) > 1:
        raise InvalidRequestError(f"Give one of data, id and address in '{at}'.", field=at)
    filename = file.filename or ""
    if file.file_id or file.file_url:
        return File(uri=file.file_url or "", file_id=file.file_id or "", filename=filename)
    if not file.file_data:
        raise missing(f"{at}.file_data")
    if (found := data_uri.read(file.file_data, f"{at}.file_data")) is None:
        data = data_uri.decode(file.file_data, f"{at}.file_data")
        return File(data=data, filename=filename)
    return File(data=found.data, filename=filename, media_type=found.media_type)
