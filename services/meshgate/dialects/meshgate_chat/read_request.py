"""Reads serialized ChatRequests: only the head, or all of it into the neutral form."""

from typing import Any, Literal, TypeAlias

import msgspec
from google.protobuf.message import DecodeError
from msgspec import Raw

from meshgate.dialects.answers import UNREADABLE, RequestHead
from meshgate.dialects.meshgate_chat import conversation
from meshgate.dialects.neutral import (
    CachePoint,
    ChatRequest,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from meshgate.dialects.openai_api import service_tier
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import chat_pb2, gateway_service_pb2

_OptionalField: TypeAlias = Literal[
    "parallel_tool_calls",
    "max_output_tokens",
    "temperature",
    "top_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
    "top_k",
    "reasoning_budget_tokens",
    "show_reasoning",
    "verbosity",
]

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_MODES = {
    chat_pb2.TOOL_CHOICE_MODE_UNSPECIFIED: ToolChoiceMode.AUTO,
    chat_pb2.TOOL_CHOICE_MODE_AUTO: ToolChoiceMode.AUTO,
    chat_pb2.TOOL_CHOICE_MODE_NONE: ToolChoiceMode.NONE,
    chat_pb2.TOOL_CHOICE_MODE_REQUIRED: ToolChoiceMode.REQUIRED,
    chat_pb2.TOOL_CHOICE_MODE_NAMED: ToolChoiceMode.NAMED,
}
_KINDS = {
    chat_pb2.RESPONSE_FORMAT_KIND_UNSPECIFIED: ResponseFormatKind.TEXT,
    chat_pb2.RESPONSE_FORMAT_KIND_TEXT: ResponseFormatKind.TEXT,
    chat_pb2.RESPONSE_FORMAT_KIND_JSON_OBJECT: ResponseFormatKind.JSON_OBJECT,
    chat_pb2.RESPONSE_FORMAT_KIND_JSON_SCHEMA: ResponseFormatKind.JSON_SCHEMA,
}


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs. Whether to stream is said by the RPC, not by the message.

    Raises:
        InvalidRequestError: The body is no ChatRequest, or lacks model or messages.
    """
    return head_of(_parsed(body), stream=False)


def head_of(request: gateway_service_pb2.ChatRequest, *, stream: bool) -> RequestHead:
    """Return what routing needs of a request that is parsed already.

    Raises:
        InvalidRequestError: It lacks model or messages, or bounds its answer by less than 1 token.
    """
    for field in ("model", "messages"):
        if not getattr(request, field):
            raise InvalidRequestError(f"{field} must be given", field=field)
    bound = _optional(request, "max_output_tokens")
    if bound is not None and bound < 1:
        field = "max_output_tokens"
        raise InvalidRequestError(f"{field} must be at least 1", field=field)
    return RequestHead(
        request.model,
        stream,
        include_usage=True,
        max_output_tokens=bound,
        service_tier=service_tier.in_extras(request.extra_json),
    )


def read(body: bytes) -> ChatRequest:
    """Read all of a request.

    Raises:
        InvalidRequestError: The request breaks a rule that its proto states.
    """
    return read_message(_parsed(body))


def read_message(request: gateway_service_pb2.ChatRequest) -> ChatRequest:
    """Read all of a request that is parsed already; it may lack model and messages.

    Raises:
        InvalidRequestError: The request breaks a rule that its proto states.
    """
    _check_object(request.extra_json, "extra_json")
    return ChatRequest(
        model=request.model,
        messages=conversation.read(request.messages),
        tools=tuple(_tool(tool, f"tools[{at}]") for at, tool in enumerate(request.tools)),
        tool_choice=_tool_choice(request),
        parallel_tool_calls=_optional(request, "parallel_tool_calls"),
        response_format=_response_format(request),
        max_output_tokens=_optional(request, "max_output_tokens"),
        temperature=_optional(request, "temperature"),
        top_p=_optional(request, "top_p"),
        stop_sequences=tuple(request.stop_sequences),
        seed=_optional(request, "seed"),
        frequency_penalty=_optional(request, "frequency_penalty"),
        presence_penalty=_optional(request, "presence_penalty"),
        reasoning_effort=_optional(request, "reasoning_effort"),
        metadata=dict(request.metadata),
        extra_json=request.extra_json,
        extra_dialect=request.extra_dialect,
        top_k=_optional(request, "top_k"),
        reasoning_budget_tokens=_optional(request, "reasoning_budget_tokens"),
        shows_reasoning=_optional(request, "show_reasoning"),
        verbosity=_optional(request, "verbosity"),
        user=request.user,
    )


def _parsed(body: bytes) -> gateway_service_pb2.ChatRequest:
    try:
        request = gateway_service_pb2.ChatRequest.FromString(body)
    except DecodeError as error:
        raise InvalidRequestError("the body is not a serialized ChatRequest") from error
    head_of(request, stream=False)  # for what it refuses
    return request


def _optional(request: gateway_service_pb2.ChatRequest, field: _OptionalField) -> Any:
    return getattr(request, field) if request.HasField(field) else None


def _tool(tool: chat_pb2.Tool, at: str) -> Tool:
    _check_object(tool.parameters_json, f"{at}.parameters_json")
    _check_object(tool.format_json, f"{at}.format_json")
    return Tool(
        name=tool.name,
        description=tool.description,
        parameters_json=tool.parameters_json,
        strict=tool.strict if tool.HasField("strict") else None,
        is_custom=tool.custom,
        format_json=tool.format_json,
        cache_point=CachePoint(ttl=tool.cache_point.ttl) if tool.HasField("cache_point") else None,
    )


def _tool_choice(request: gateway_service_pb2.ChatRequest) -> ToolChoice | None:
    if not request.HasField("tool_choice"):
        return None
    choice = request.tool_choice
    mode = _MODES.get(choice.mode)
    if mode is None or bool(choice.name) != (mode is ToolChoiceMode.NAMED):
        raise InvalidRequestError(
            "tool_choice must have a known mode, and a name if it is NAMED, and only then",
            field="tool_choice",
        )
    return ToolChoice(mode=mode, name=choice.name)


def _response_format(request: gateway_service_pb2.ChatRequest) -> ResponseFormat | None:
    if not request.HasField("response_format"):
        return None
    wanted = request.response_format
    kind = _KINDS.get(wanted.kind)
    if kind is None:
        raise InvalidRequestError(
            "response_format.kind must be a known one", field="response_format.kind"
        )
    _check_object(wanted.schema_json, "response_format.schema_json")
    return ResponseFormat(
        kind=kind,
        schema_json=wanted.schema_json,
        name=wanted.name,
        description=wanted.description,
        strict=wanted.strict if wanted.HasField("strict") else None,
    )


def _check_object(text: bytes, field: str) -> None:
    if not text:
        return
    try:
        text.decode()
        _MEMBERS.decode(text)
    except UNREADABLE as error:
        raise InvalidRequestError(f"{field} must be a JSON object", field=field) from error
