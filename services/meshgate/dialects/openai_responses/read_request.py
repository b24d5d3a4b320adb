"""Reads requests for responses: only the head, or all of it into the neutral form."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.neutral import (
    ChatRequest,
    ResponseFormat,
    ResponseFormatKind,
)
from meshgate.dialects.openai_api import service_tier
from meshgate.dialects.openai_api.request_body import decode, missing, unsupported
from meshgate.dialects.openai_responses import conversation, stateless, tools
from meshgate.dialects.openai_responses.fields import EXPRESSED, INEXPRESSIBLE, STORED
from meshgate.dialects.openai_responses.json_object import object_bytes

_ModelName = Annotated[str, Meta(max_length=512)]
_OutputBound = Annotated[int, Meta(le=2**31 - 1)]

_ENCRYPTED = "reasoning.encrypted_content"


class _Head(Struct, gc=False):
    model: _ModelName
    input: Raw = Raw()
    stream: bool | None = None
    max_output_tokens: _OutputBound | None = None
    service_tier: object = None
    # Each of these is refused unless it asks for nothing.
    store: Raw = Raw(b"null")
    background: Raw = Raw(b"null")
    previous_response_id: Raw = Raw(b"null")
    conversation: Raw = Raw(b"null")
    prompt: Raw = Raw(b"null")


class _Format(Struct, forbid_unknown_fields=True):
    type: ResponseFormatKind
    name: str | None = None
    description: str | None = None
    # The keyword is the wire's.
    content: Raw = msgspec.field(name="schema", default=Raw())
    strict: bool | None = None


class _TextConfig(Struct, forbid_unknown_fields=True):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(Struct, forbid_unknown_fields=True):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None  # the same under its older name
    context: str | None = None
    mode: str | None = None


class _Request(Struct):
    instructions: str | None = None
    tool_choice: str | tools.WireChoice | None = None
    parallel_tool_calls: bool | None = None
    text: _TextConfig | None = None
    reasoning: _Reasoning | None = None
    include: list[str] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None


_HEAD = msgspec.json.Decoder(_Head)
_REQUEST = msgspec.json.Decoder(_Request)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_NOTHING = (b"", b"null", b'""', b"[]")


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs; the rest is only checked to be JSON.

    A stream always tells its usage: that stands in its last event.

    Raises:
        InvalidRequestError: The body is malformed, or what was read is not as it must be.
        UnsupportedError: It needs a response that was kept, or wants one to be.
    """
    head = decode(_HEAD, body)
    if not head.model:
        raise missing("model")
    stateless.check({name: getattr(head, name) for name in STORED})
    if bytes(head.input) in _NOTHING:
        raise missing("input")
    bound = head.max_output_tokens
    return RequestHead(
        head.model,
        head.stream is True,
        include_usage=True,
        max_output_tokens=bound if bound is not None and bound > 0 else None,
        service_tier=service_tier.read(head.service_tier),
    )


def read(body: bytes) -> ChatRequest:
    """Read all of a request.

    Raises:
        InvalidRequestError: The body is malformed.
        UnsupportedError: The neutral form cannot express a field.
    """
    head = read_head(body)
    members = decode(_MEMBERS, body)
    for name in STORED:
        members.pop(name, None)
    for name, harmless in INEXPRESSIBLE.items():
        asked = bytes(members.pop(name, Raw(b"null"))).translate(None, b" \t\r\n")
        if asked != b"null" and asked not in harmless:
            raise unsupported(name)
    messages = conversation.read(body)
    offered = tools.read(members.get("tools"))
    request = decode(_REQUEST, body)
    _check_include(request.include)
    text = request.text or _TextConfig()
    reasoning = request.reasoning or _Reasoning()
    _check_reasoning(reasoning)
    extra = {name: value for name, value in members.items() if name not in EXPRESSED}
    return ChatRequest(
        model=head.model,
        messages=conversation.instructed(request.instructions, messages),
        tools=offered,
        tool_choice=tools.read_choice(request.tool_choice),
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=_response_format(text.format),
        max_output_tokens=request.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        reasoning_effort=reasoning.effort,
        shows_reasoning=True if reasoning.summary or reasoning.generate_summary else None,
        verbosity=text.verbosity,
        metadata=request.metadata or {},
        user=request.user or "",
        extra_json=msgspec.json.encode(extra) if extra else b"",
        extra_dialect="openai_responses" if extra else "",
    )


def _check_include(include: list[str] | None) -> None:
    """Thoughts that only their maker can read are given anyway; the rest is of OpenAI's own tools."""
    for at, what in enumerate(include or ()):
        if what != _ENCRYPTED:
            raise unsupported(f"include[{at}]")


def _check_reasoning(reasoning: _Reasoning) -> None:
    if reasoning.context not in (None, "auto"):
        raise unsupported("reasoning.context")
    if reasoning.mode not in (None, "standard"):
        raise unsupported("reasoning.mode")


def _response_format(wanted: _Format | None) -> ResponseFormat | None:
    if wanted is None:
        return None
    if wanted.type is not ResponseFormatKind.JSON_SCHEMA:
        return ResponseFormat(kind=wanted.type)
    schema = object_bytes(wanted.content, "text.format.schema")
    if not schema:
        raise missing("text.format.schema")
    if not wanted.name:
        raise missing("text.format.name")
    return ResponseFormat(
        kind=wanted.type,
        schema_json=schema,
        name=wanted.name,
        description=wanted.description or "",
        strict=wanted.strict,
    )
