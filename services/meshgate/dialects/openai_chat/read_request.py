"""Reads chat completion requests: only the head, or all of it into the neutral form."""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.neutral import (
    ChatRequest,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from meshgate.dialects.openai_api import service_tier
from meshgate.dialects.openai_api.request_body import decode, missing, unsupported
from meshgate.dialects.openai_chat import conversation
from meshgate.dialects.openai_chat.fields import EXPRESSED, INEXPRESSIBLE
from meshgate.runtime.errors import InvalidRequestError

_ModelName = Annotated[str, Meta(max_length=512)]
# Servers of all kinds take zero and less for "as much as you like".
_OutputBound = Annotated[int, Meta(le=2**31 - 1)]
_Choices = Annotated[int, Meta(ge=1, le=128)]
_Whole = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]


class _AnyObject(Struct, gc=False):
    pass


class _StreamOptions(Struct, gc=False):
    include_usage: bool | None = None


class _Head(Struct, gc=False):
    model: _ModelName
    messages: Annotated[list[_AnyObject], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_completion_tokens: _OutputBound | None = None
    max_tokens: _OutputBound | None = None
    n: _Choices | None = None
    service_tier: object = None


class _Function(Struct, forbid_unknown_fields=True):
    name: str
    description: str | None = None
    parameters: Raw = Raw()
    strict: bool | None = None


class _Tool(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    function: _Function
    cache_control: conversation.CacheControl | None = None


class _Custom(Struct, forbid_unknown_fields=True):
    name: str
    description: str | None = None
    form: Raw = msgspec.field(name="format", default=Raw())


class _CustomTool(Struct, tag_field="type", tag="custom", forbid_unknown_fields=True):
    custom: _Custom
    cache_control: conversation.CacheControl | None = None


class _FunctionName(Struct, forbid_unknown_fields=True):
    name: str


class _NamedCustomTool(Struct, tag_field="type", tag="custom", forbid_unknown_fields=True):
    custom: _FunctionName


class _NamedTool(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    function: _FunctionName


class _Schema(Struct, forbid_unknown_fields=True):
    name: str
    description: str | None = None
    # The keyword is the wire's.
    content: Raw = msgspec.field(name="schema", default=Raw())
    strict: bool | None = None


class _ResponseFormat(Struct, forbid_unknown_fields=True):
    type: ResponseFormatKind
    json_schema: _Schema | None = None


class _Request(Struct):
    messages: list[conversation.WireMessage]
    tools: list[_Tool | _CustomTool] | None = None
    tool_choice: str | _NamedTool | _NamedCustomTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: _ResponseFormat | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning_effort: str | None = None
    metadata: dict[str, str] | None = None
    verbosity: str | None = None
    user: str | None = None
    top_k: _Whole | None = None


_HEAD = msgspec.json.Decoder(_Head)
_REQUEST = msgspec.json.Decoder(_Request)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_CHOICE_WORDS = {mode.value: mode for mode in ToolChoiceMode if mode is not ToolChoiceMode.NAMED}


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs; the rest is only checked to be JSON.

    Raises:
        InvalidRequestError: The body is malformed, or what was read is not as it must be.
    """
    head = decode(_HEAD, body)
    if not head.model:
        raise missing("model")
    options = head.stream_options
    include_usage = options is not None and options.include_usage is True
    return RequestHead(
        head.model,
        head.stream is True,
        include_usage,
        _bound_of(head),
        head.n or 1,
        service_tier.read(head.service_tier),
    )


def read(body: bytes) -> ChatRequest:
    """Read all of a request.

    Raises:
        InvalidRequestError: The body is malformed.
        UnsupportedError: The neutral form cannot express a field.
    """
    head = read_head(body)
    members = decode(_MEMBERS, body)
    for name, harmless in INEXPRESSIBLE.items():
        asked = bytes(members.pop(name, Raw(b"null"))).translate(None, b" \t\r\n")
        if asked != b"null" and asked not in harmless:
            raise unsupported(name)
    request = decode(_REQUEST, body)
    extra = {name: value for name, value in members.items() if name not in EXPRESSED}
    return ChatRequest(
        model=head.model,
        messages=conversation.read(request.messages),
        tools=tuple(_tool(tool, at) for at, tool in enumerate(request.tools or ())),
        tool_choice=_tool_choice(request.tool_choice),
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=_response_format(request.response_format),
        max_output_tokens=_max_output_tokens(request),
        temperature=request.temperature,
        top_p=request.top_p,
        stop_sequences=_stop_sequences(request.stop),
        seed=request.seed,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        reasoning_effort=request.reasoning_effort,
        metadata=request.metadata or {},
        extra_json=msgspec.json.encode(extra) if extra else b"",
        extra_dialect="openai_chat" if extra else "",
        top_k=request.top_k,
        verbosity=request.verbosity,
        user=request.user or "",
    )


def _bound_of(head: _Head) -> int | None:
    """The bound that holds whichever of the two the upstream goes by: of both, the larger."""
    first, second = head.max_completion_tokens, head.max_tokens
    if first is None or second is None:
        bound = second if first is None else first
        return bound if bound is not None and bound > 0 else None
    return max(first, second) if min(first, second) > 0 else None


def _tool(tool: _Tool | _CustomTool, at: int) -> Tool:
    hint = None if tool.cache_control is None else tool.cache_control.read()
    if isinstance(tool, _CustomTool):
        return Tool(
            name=tool.custom.name,
            description=tool.custom.description or "",
            is_custom=True,
            format_json=_object(tool.custom.form, f"tools[{at}].custom.format"),
            cache_point=hint,
        )
    function = tool.function
    return Tool(
        name=function.name,
        description=function.description or "",
        parameters_json=_object(function.parameters, f"tools[{at}].function.parameters"),
        strict=function.strict,
        cache_point=hint,
    )


def _tool_choice(choice: str | _NamedTool | _NamedCustomTool | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, _NamedTool):
        return ToolChoice(mode=ToolChoiceMode.NAMED, name=choice.function.name)
    if isinstance(choice, _NamedCustomTool):
        return ToolChoice(mode=ToolChoiceMode.NAMED, name=choice.custom.name)
    mode = _CHOICE_WORDS.get(choice)
    if mode is None:
        raise InvalidRequestError(
            "Invalid value for 'tool_choice': expected auto, none or required.", field="tool_choice"
        )
    return ToolChoice(mode=mode)


def _response_format(wanted: _ResponseFormat | None) -> ResponseFormat | None:
    if wanted is None:
        return None
    if wanted.type is not ResponseFormatKind.JSON_SCHEMA:
        return ResponseFormat(kind=wanted.type)
    if wanted.json_schema is None:
        raise missing("response_format.json_schema")
    return ResponseFormat(
        kind=wanted.type,
        schema_json=_object(wanted.json_schema.content, "response_format.json_schema.schema"),
        name=wanted.json_schema.name,
        description=wanted.json_schema.description or "",
        strict=wanted.json_schema.strict,
    )


def _object(raw: Raw, field: str) -> bytes:
    """Return the bytes of a JSON object; empty where there is none."""
    data = bytes(raw)
    if not data or data == b"null":
        return b""
    if not data.startswith(b"{"):
        raise InvalidRequestError(f"Invalid type for '{field}': expected an object.", field=field)
    return data


def _max_output_tokens(request: _Request) -> int | None:
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        raise InvalidRequestError(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            field="max_tokens",
        )
    return request.max_completion_tokens or request.max_tokens


def _stop_sequences(stop: str | list[str] | None) -> tuple[str, ...]:
    if stop is None:
        return ()
    return (stop,) if isinstance(stop, str) else tuple(stop)
