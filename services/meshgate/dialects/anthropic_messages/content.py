"""The content of messages in a request, read into the neutral form."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.anthropic_messages import citations, signing
from meshgate.dialects.anthropic_messages.citations import WireCitation
from meshgate.dialects.neutral import (
    CachePoint,
    File,
    Image,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.openai_chat import data_uri

_ENCODER = msgspec.json.Encoder()


class CacheControl(Struct, forbid_unknown_fields=True):
    """A hint that stands at a block."""

    type: Literal["ephemeral"]
    ttl: str | None = None


class _Block(Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True):
    cache_control: CacheControl | None = None


class TextBlock(_Block, tag="text"):
    """Words."""

    text: str
    citations: list[WireCitation] | None = None


class _Source(Struct, tag_field="type", forbid_unknown_fields=True):
    pass


class _Base64(_Source, tag="base64"):
    media_type: str
    data: str


class _Url(_Source, tag="url"):
    url: str


class _FileId(_Source, tag="file"):
    file_id: str


class _PlainText(_Source, tag="text"):
    data: str
    media_type: str = "text/plain"


class _ImageBlock(_Block, tag="image"):
    source: _Base64 | _Url | _FileId


class _Citing(Struct, forbid_unknown_fields=True):
    enabled: bool | None = None


class _DocumentBlock(_Block, tag="document"):
    source: _Base64 | _Url | _FileId | _PlainText
    title: str | None = None
    citations: _Citing | None = None
    context: str | None = None


class _ThinkingBlock(_Block, tag="thinking"):
    thinking: str
    signature: str = ""


class _RedactedBlock(_Block, tag="redacted_thinking"):
    data: str


class _Caller(Struct):
    type: str


class _ToolUseBlock(_Block, tag="tool_use"):
    id: str
    name: str
    input: dict[str, Raw]
    caller: _Caller | None = None  # who has called it: the model, or a hosted tool
    toolset_name: str | None = None


class _ToolResultBlock(_Block, tag="tool_result"):
    tool_use_id: str
    content: str | list[TextBlock | _ImageBlock | _DocumentBlock] | None = None
    is_error: bool | None = None
    toolset_name: str | None = None


Block: TypeAlias = (
    TextBlock
    | _ImageBlock
    | _DocumentBlock
    | _ThinkingBlock
    | _RedactedBlock
    | _ToolUseBlock
    | _ToolResultBlock
)
"""A block of a message. What hosted tools do and find has no place in the neutral form."""


def read(content: str | Sequence[Block], at: str) -> list[Part]:
    """The parts of a message, each hint to cache after what it stands at.

    Raises:
        InvalidRequestError: One breaks a rule of the API.
        UnsupportedError: The neutral form cannot express one.
    """
    if isinstance(content, str):
        return [Text(content)]
    parts: list[Part] = []
    for number, block in enumerate(content):
        parts.append(_part(block, f"{at}[{number}]"))
        if block.cache_control is not None:
            parts.append(cache_point(block.cache_control))
    return parts


def cache_point(control: CacheControl) -> CachePoint:
    """The hint that it is."""
    return CachePoint(ttl=control.ttl or "")


def _part(block: Block, at: str) -> Part:
    match block:
        case TextBlock():
            return Text(block.text, citations.read_all(block.citations or (), 0, len(block.text)))
        case _ImageBlock():
            return _image(block, at)
        case _DocumentBlock():
            return _document(block, at)
        case _ThinkingBlock() | _RedactedBlock():
            return _thought(block)
        case _ToolUseBlock():
            return _tool_call(block, at)
        case _ToolResultBlock():
            return _tool_result(block, at)


def _thought(block: _ThinkingBlock | _RedactedBlock) -> Reasoning:
    if isinstance(block, _RedactedBlock):
        found = signing.read(block.data)
        return Reasoning(text="", signature=found.content, origin=found.origin, is_redacted=True)
    found = signing.read(block.signature)
    return Reasoning(text=block.thinking, signature=found.content, origin=found.origin)


def _image(block: _ImageBlock, at: str) -> Image:
    match block.source:
        case _Base64(media_type, data):
            content = data_uri.decode(data, f"{at}.source.data")
            return Image(data=content, media_type=media_type)
        case _Url(url):
            return Image(uri=url)
        case _FileId(file_id):
            return Image(file_id=file_id)


def _document(block: _DocumentBlock, at: str) -> File:
    if block.context:
        raise unsupported(f"{at}.context")
    title = block.title or ""
    is_cited = block.citations is not None and block.citations.enabled is True
    match block.source:
        case _Base64(media_type, data):
            content = data_uri.decode(data, f"{at}.source.data")
            return File(data=content, media_type=media_type, filename=title, is_cited=is_cited)
        case _PlainText(data, media_type):
            return File(
                data=data.encode(), media_type=media_type, filename=title, is_cited=is_cited
            )
        case _Url(url):
            return File(uri=url, filename=title, is_cited=is_cited)
        case _FileId(file_id):
            return File(file_id=file_id, filename=title, is_cited=is_cited)


def _tool_call(block: _ToolUseBlock, at: str) -> ToolCall:
    if block.caller is not None and block.caller.type != "direct":
        raise unsupported(f"{at}.caller")
    if block.toolset_name:
        raise unsupported(f"{at}.toolset_name")
    return ToolCall(
        id=block.id, name=block.name, arguments_json=_ENCODER.encode(block.input).decode()
    )


def _tool_result(block: _ToolResultBlock, at: str) -> ToolResult:
    if block.toolset_name:
        raise unsupported(f"{at}.toolset_name")
    parts = read(block.content or [], f"{at}.content")
    return ToolResult(
        tool_call_id=block.tool_use_id,
        # A hint to cache that stands within a result is left out.
        content=tuple(part for part in parts if isinstance(part, Text | Image | File)),
        is_error=block.is_error is True,
    )
