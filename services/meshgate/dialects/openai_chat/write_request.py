"""Writes chat completion requests from the neutral form."""

import msgspec
from msgspec import Raw

from meshgate.dialects.extras import read_extras
from meshgate.dialects.neutral import (
    ChatRequest,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from meshgate.dialects.openai_api.output_bound import OutputBound, lower_bounds
from meshgate.dialects.openai_chat import messages
from meshgate.dialects.openai_chat.fields import EXPRESSED, INEXPRESSIBLE, SHARED
from meshgate.dialects.output_cap import lower

_OWN_BOUND = OutputBound.MAX_COMPLETION_TOKENS


def write(
    request: ChatRequest,
    model: str,
    *,
    stream: bool,
    output_cap: int | None = None,
    bound: OutputBound = OutputBound.MAX_TOKENS,
) -> bytes:
    """Write a request to `model`; a stream is asked to end with the usage.

    Where there is an `output_cap`, in tokens, no more is asked for: in `bound`, and in what
    `extra_json` may hold of the kind.

    Raises:
        InvalidRequestError: A part of the request contradicts itself.
        UnsupportedError: This dialect cannot express something.
    """
    members: dict[str, object] = {"model": model, "messages": messages.write(request.messages)}
    members |= _parameters(request)
    if request.tools:
        members["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        members["tool_choice"] = _tool_choice(request.tool_choice)
    if request.response_format is not None:
        members["response_format"] = _response_format(request.response_format)
    if stream:
        members["stream"] = True
        members["stream_options"] = {"include_usage": True}
    extras = read_extras(
        request.extra_json,
        "openai_chat",
        origin=request.extra_dialect,
        expressed=EXPRESSED,
        refused=INEXPRESSIBLE,
        shared=SHARED.get(request.extra_dialect, ()),
    )
    if output_cap is not None:
        lower_bounds(extras, output_cap)
        members.pop(_OWN_BOUND.value, None)
        members[bound.value] = lower(request.max_output_tokens, output_cap)
    members |= extras
    return msgspec.json.encode(members)


def _parameters(request: ChatRequest) -> dict[str, object]:
    parameters: dict[str, object | None] = {
        "parallel_tool_calls": request.parallel_tool_calls,
        # The older `max_tokens` is refused by OpenAI's reasoning models.
        _OWN_BOUND.value: request.max_output_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop": request.stop_sequences or None,
        "seed": request.seed,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "reasoning_effort": request.reasoning_effort,
        "metadata": request.metadata or None,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _tool(tool: Tool) -> dict[str, object]:
    function: dict[str, object] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters_json:
        function["parameters"] = Raw(tool.parameters_json)
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> object:
    if choice.mode is ToolChoiceMode.NAMED:
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode.value


def _response_format(wanted: ResponseFormat) -> dict[str, object]:
    written: dict[str, object] = {"type": wanted.kind.value}
    if wanted.kind is ResponseFormatKind.JSON_SCHEMA:
        # The name is demanded here, and not in every other dialect.
        schema: dict[str, object] = {"name": wanted.name or "answer"}
        if wanted.description:
            schema["description"] = wanted.description
        if wanted.schema_json:
            schema["schema"] = Raw(wanted.schema_json)
        if wanted.strict is not None:
            schema["strict"] = wanted.strict
        written["json_schema"] = schema
    return written
