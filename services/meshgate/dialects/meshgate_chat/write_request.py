"""Writes serialized ChatRequests from the neutral form."""

from meshgate.dialects.meshgate_chat import conversation
from meshgate.dialects.neutral import (
    ChatRequest,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from meshgate.dialects.output_cap import capped
from meshgate.v1 import chat_pb2, gateway_service_pb2

_MODES = {
    ToolChoiceMode.AUTO: chat_pb2.TOOL_CHOICE_MODE_AUTO,
    ToolChoiceMode.NONE: chat_pb2.TOOL_CHOICE_MODE_NONE,
    ToolChoiceMode.REQUIRED: chat_pb2.TOOL_CHOICE_MODE_REQUIRED,
    ToolChoiceMode.NAMED: chat_pb2.TOOL_CHOICE_MODE_NAMED,
}
_KINDS = {
    ResponseFormatKind.TEXT: chat_pb2.RESPONSE_FORMAT_KIND_TEXT,
    ResponseFormatKind.JSON_OBJECT: chat_pb2.RESPONSE_FORMAT_KIND_JSON_OBJECT,
    ResponseFormatKind.JSON_SCHEMA: chat_pb2.RESPONSE_FORMAT_KIND_JSON_SCHEMA,
}


def write(
    request: ChatRequest, model: str, *, stream: bool, output_cap: int | None = None
) -> bytes:
    """Write a request to `model`, for no more than `output_cap` tokens if there is one.

    Whether to stream is said by the RPC, so that `stream` changes nothing here.
    """
    del stream
    request = capped(request, output_cap)
    message = gateway_service_pb2.ChatRequest(
        model=model,
        messages=[conversation.write_message(message) for message in request.messages],
        tools=[_tool(tool) for tool in request.tools],
        parallel_tool_calls=request.parallel_tool_calls,
        max_output_tokens=request.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        stop_sequences=request.stop_sequences,
        seed=request.seed,
        frequency_penalty=request.frequency_penalty,
        presence_penalty=request.presence_penalty,
        reasoning_effort=request.reasoning_effort,
        metadata=request.metadata,
        extra_json=request.extra_json,
        extra_dialect=request.extra_dialect,
        top_k=request.top_k,
        reasoning_budget_tokens=request.reasoning_budget_tokens,
        show_reasoning=request.shows_reasoning,
        verbosity=request.verbosity,
        user=request.user,
    )
    if request.tool_choice is not None:
        message.tool_choice.CopyFrom(_tool_choice(request.tool_choice))
    if request.response_format is not None:
        message.response_format.CopyFrom(_response_format(request.response_format))
    return message.SerializeToString()


def _tool(tool: Tool) -> chat_pb2.Tool:
    hint = tool.cache_point
    return chat_pb2.Tool(
        name=tool.name,
        description=tool.description,
        parameters_json=tool.parameters_json,
        strict=tool.strict,
        custom=tool.is_custom,
        format_json=tool.format_json,
        cache_point=None if hint is None else chat_pb2.CachePoint(ttl=hint.ttl),
    )


def _tool_choice(choice: ToolChoice) -> chat_pb2.ToolChoice:
    return chat_pb2.ToolChoice(mode=_MODES[choice.mode], name=choice.name)


def _response_format(wanted: ResponseFormat) -> chat_pb2.ResponseFormat:
    return chat_pb2.ResponseFormat(
        kind=_KINDS[wanted.kind],
        schema_json=wanted.schema_json,
        name=wanted.name,
        description=wanted.description,
        strict=wanted.strict,
    )
