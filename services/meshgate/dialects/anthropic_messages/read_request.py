"""Reads requests for a message: only the head, or all of it into the neutral form.

What is not carried over to upstreams of other dialects, and changes no answer there: `cache_control`
is a hint that each of them takes or leaves (`neutral.CachePoint`).
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.anthropic_messages import content, usage
from meshgate.dialects.anthropic_messages.content import Block, CacheControl, TextBlock
from meshgate.dialects.anthropic_messages.fields import EXPRESSED, USUAL
from meshgate.dialects.neutral import (
    CachePoint,
    ChatRequest,
    Message,
    Part,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Tool,
    ToolChoice,
    ToolChoiceMode,
    ToolResult,
)
from meshgate.dialects.openai_api import service_tier
from meshgate.dialects.openai_api.request_body import decode, missing, unsupported
from meshgate.runtime.errors import InvalidRequestError

_ModelName = Annotated[str, Meta(max_length=512)]


class _AnyObject(Struct, gc=False):
    pass


class _Head(Struct, gc=False):
    model: _ModelName
    messages: Annotated[list[_AnyObject], Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    stream: bool | None = None
    service_tier: object = None
    speed: object = None


class _Message(Struct, forbid_unknown_fields=True):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class _Tool(Struct, forbid_unknown_fields=True):
    name: str
    input_schema: Raw = Raw()
    type: str | None = None
    description: str | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    eager_input_streaming: bool | None = None  # how the arguments travel, not what they are


class _ToolKind(Struct):
    type: str | None = None


class _ToolChoice(Struct, forbid_unknown_fields=True):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(Struct, forbid_unknown_fields=True):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class _Format(Struct, forbid_unknown_fields=True):
    type: Literal["json_schema"]
    # The keyword is the wire's.
    content: Raw = msgspec.field(name="schema", default=Raw())


class _OutputConfig(Struct, forbid_unknown_fields=True):
    effort: str | None = None
    format: _Format | None = None


class _Metadata(Struct, forbid_unknown_fields=True):
    user_id: str | None = None


class _Request(Struct):
    messages: list[_Message]
    max_tokens: int | None = None
    system: str | list[TextBlock] | None = None
    metadata: _Metadata | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    tools: list[Raw] | None = None
    tool_choice: _ToolChoice | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    cache_control: CacheControl | None = None


_HEAD = msgspec.json.Decoder(_Head)
_REQUEST = msgspec.json.Decoder(_Request)
_TOOL = msgspec.json.Decoder(_Tool)
_TOOL_KIND = msgspec.json.Decoder(_ToolKind)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_MODES = {
    "auto": ToolChoiceMode.AUTO,
    "any": ToolChoiceMode.REQUIRED,
    "tool": ToolChoiceMode.NAMED,
    "none": ToolChoiceMode.NONE,
}
_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs; the rest is only checked to be JSON.

    Raises:
        InvalidRequestError: The body is malformed, or what was read is not as it must be.
    """
    head = decode(_HEAD, body)
    if not head.model:
        raise missing("model")
    if head.max_tokens is None:
        raise missing("max_tokens")
    stream = head.stream is True
    return RequestHead(
        head.model,
        stream,
        include_usage=stream,  # streams of this dialect always end with it
        max_output_tokens=head.max_tokens,
        service_tier=_tier(head),
    )


def _tier(head: _Head) -> str:
    """What is asked for: what is to be served fast has prices of its own, and so counts as a tier."""
    is_fast = service_tier.read(head.speed) == usage.FAST
    return usage.FAST if is_fast else service_tier.read(head.service_tier)


def read(body: bytes) -> ChatRequest:
    """Read all of a request.

    Raises:
        InvalidRequestError: The body is malformed.
        UnsupportedError: The neutral form cannot express a field.
    """
    head = read_head(body)
    if head.max_output_tokens == 0:
        raise unsupported("max_tokens")  # to fill Anthropic's cache, and be told nothing
    request = decode(_REQUEST, body)
    extra = _extra(body)
    choice, output = request.tool_choice, request.output_config or _OutputConfig()
    thinking = request.thinking
    return ChatRequest(
        model=head.model,
        messages=tuple(_messages(request)),
        tools=tuple(_tool(raw, f"tools[{at}]") for at, raw in enumerate(request.tools or ())),
        tool_choice=None if choice is None else _tool_choice(choice),
        parallel_tool_calls=_parallel(choice),
        response_format=None if output.format is None else _response_format(output.format),
        max_output_tokens=head.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop_sequences=tuple(request.stop_sequences or ()),
        reasoning_effort=output.effort,
        reasoning_budget_tokens=None if thinking is None else _budget(thinking),
        shows_reasoning=None if thinking is None else _shown(thinking),
        user=(request.metadata and request.metadata.user_id) or "",
        extra_json=msgspec.json.encode(extra) if extra else b"",
        extra_dialect="anthropic_messages" if extra else "",
    )


def _extra(body: bytes) -> dict[str, Raw]:
    members = decode(_MEMBERS, body)
    return {
        name: value
        for name, value in members.items()
        if name not in EXPRESSED and bytes(value) not in (b"null", *USUAL.get(name, ()))
    }


def _messages(request: _Request) -> Iterator[Message]:
    if request.system:
        parts = tuple(content.read(request.system, "system"))
        yield Message(role=Role.SYSTEM, parts=parts)
    last = len(request.messages) - 1
    for at, message in enumerate(request.messages):
        parts = tuple(content.read(message.content, f"messages[{at}].content"))
        if at == last and request.cache_control is not None:
            parts = (*parts, content.cache_point(request.cache_control))
        if message.role == "user":
            yield from _user_turns(parts)
        else:
            yield Message(role=_ROLES[message.role], parts=parts)


def _user_turns(parts: tuple[Part, ...]) -> Iterator[Message]:
    """A turn of the user's; what tools gave back is a message of its own."""
    role, run = Role.USER, list[Part]()
    for part in parts:
        its = role if isinstance(part, CachePoint) else _speaker(part)
        if its is not role and run:
            yield Message(role=role, parts=tuple(run))
            run = []
        role = its
        run.append(part)
    yield Message(role=role, parts=tuple(run))


def _speaker(part: Part) -> Role:
    return Role.TOOL if isinstance(part, ToolResult) else Role.USER


def _tool(raw: Raw, at: str) -> Tool:
    """A tool; those that Anthropic hosts or knows by heart are of a type of their own."""
    kind = decode(_TOOL_KIND, bytes(raw)).type
    if kind not in (None, "custom"):
        raise unsupported(f"{at}.type")
    try:
        tool = decode(_TOOL, bytes(raw))
    except InvalidRequestError as error:
        raise type(error)(error.message, field=f"{at}.{error.field or ''}".rstrip(".")) from error
    schema = bytes(tool.input_schema)
    if not schema:
        raise missing(f"{at}.input_schema")
    if not schema.startswith(b"{"):
        field = f"{at}.input_schema"
        raise InvalidRequestError(f"Invalid type for '{field}': expected an object.", field=field)
    return Tool(
        name=tool.name,
        description=tool.description or "",
        parameters_json=schema,
        strict=tool.strict,
        cache_point=None if tool.cache_control is None else content.cache_point(tool.cache_control),
    )


def _tool_choice(choice: _ToolChoice) -> ToolChoice:
    if choice.type == "tool" and not choice.name:
        raise missing("tool_choice.name")
    return ToolChoice(mode=_MODES[choice.type], name=choice.name or "")


def _parallel(choice: _ToolChoice | None) -> bool | None:
    if choice is None or choice.disable_parallel_tool_use is None:
        return None
    return not choice.disable_parallel_tool_use


def _response_format(wanted: _Format) -> ResponseFormat:
    schema = bytes(wanted.content)
    if not schema.startswith(b"{"):
        raise missing("output_config.format.schema")
    return ResponseFormat(kind=ResponseFormatKind.JSON_SCHEMA, schema_json=schema, strict=True)


def _budget(thinking: _Thinking) -> int | None:
    """How much to think; None where the model decides, as most do that think at all."""
    if thinking.type == "disabled":
        return 0
    if thinking.type == "adaptive":
        return None
    if thinking.budget_tokens is None:
        raise missing("thinking.budget_tokens")
    return thinking.budget_tokens


def _shown(thinking: _Thinking) -> bool | None:
    return None if thinking.display is None else thinking.display == "summarized"
