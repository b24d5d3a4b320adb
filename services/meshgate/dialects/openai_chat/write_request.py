"""Writes chat completion requests from the neutral form.

That thoughts are to be shown is left out: whether an upstream shows them is its own choice here. So
is, where the upstream does not take it, what changes no answer: `user`, and that there be one call at a
time where only one tool can be called.
"""

from collections.abc import Container, Iterator, Sequence

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
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.openai_chat import messages, wording
from meshgate.dialects.openai_chat.fields import ALSO_EXTRA, EXPRESSED, INEXPRESSIBLE, SHARED
from meshgate.dialects.openai_chat.variant import EffortPlace, Variant
from meshgate.dialects.output_cap import lower
from meshgate.dialects.reasoning_effort import effort_of

_UNKNOWN = Variant()
_USUAL = {"tool_choice": "auto", "parallel_tool_calls": True}
_OWN_BOUND = OutputBound.MAX_COMPLETION_TOKENS


def write(
    request: ChatRequest,
    model: str,
    *,
    stream: bool,
    output_cap: int | None = None,
    variant: Variant = _UNKNOWN,
) -> bytes:
    """Write a request to `model`; a stream is asked to end with the usage.

    Where there is an `output_cap`, in tokens, no more is asked for: in the variant's bound, and in
    what `extra_json` may hold of the kind.

    Raises:
        InvalidRequestError: A part of the request contradicts itself.
        UnsupportedError: This dialect cannot express something.
    """
    members: dict[str, object] = {
        "model": model,
        "messages": messages.write(request.messages, variant),
    }
    members |= _parameters(request) | _thinking(request, variant)
    if request.tools:
        members["tools"] = [_tool(tool, at, variant) for at, tool in enumerate(request.tools)]
    if request.tool_choice is not None:
        members["tool_choice"] = _tool_choice(request.tool_choice, request.tools)
    if request.response_format is not None:
        members["response_format"] = _response_format(request.response_format)
    if stream:
        members["stream"] = True
        members["stream_options"] = {"include_usage": True}
    members = dict(_taken(members, variant, _hints(request)))
    extras = read_extras(
        request.extra_json,
        "openai_chat",
        origin=request.extra_dialect,
        expressed=(EXPRESSED - ALSO_EXTRA) | members.keys(),
        refused=INEXPRESSIBLE.keys() | variant.steering,
        shared=SHARED.get(request.extra_dialect, ()),
    )
    if output_cap is not None:
        lower_bounds(extras, output_cap)
        members.pop(_OWN_BOUND.value, None)
        members[variant.output_bound.value] = lower(request.max_output_tokens, output_cap)
    members |= extras
    return msgspec.json.encode(wording.reworded(members, variant))


def _taken(
    members: dict[str, object], variant: Variant, hints: Container[str]
) -> Iterator[tuple[str, object]]:
    """The members that the upstream takes; hints and what asks for nothing are left out.

    Raises:
        UnsupportedError: It does not take one of the others.
    """
    for name, value in members.items():
        is_taken = name not in variant.refused and (name != "top_k" or name in variant.taken)
        if is_taken:
            yield name, value
        elif name not in hints and _USUAL.get(name) != value:
            raise unsupported(name)


def _hints(request: ChatRequest) -> Container[str]:
    """What changes no answer where an upstream does not take it."""
    return {"user"} if request.must_call_singly else {"user", "parallel_tool_calls"}


def _thinking(request: ChatRequest, variant: Variant) -> dict[str, object]:
    """How hard, and how much, to think."""
    budget = request.reasoning_budget_tokens
    effort = effort_of(request.reasoning_effort, budget)
    if effort is None:
        return {}
    if variant.effort is EffortPlace.REASONING:  # which takes one of the two
        is_number = budget and request.reasoning_effort is None
        return {"reasoning": {"max_tokens": budget} if is_number else {"effort": effort}}
    return {"reasoning_effort": effort}


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
        "metadata": request.metadata or None,
        "verbosity": request.verbosity,
        "user": request.user or None,
        "top_k": request.top_k,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _tool(tool: Tool, at: int, variant: Variant) -> dict[str, object]:
    if tool.is_custom:
        if not variant.custom_tools:
            raise unsupported(f"tools[{at}].custom")
        return {"type": "custom", "custom": _custom(tool)}
    function: dict[str, object] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters_json:
        function["parameters"] = Raw(tool.parameters_json)
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _custom(tool: Tool) -> dict[str, object]:
    custom: dict[str, object] = {"name": tool.name}
    if tool.description:
        custom["description"] = tool.description
    if tool.format_json:
        custom["format"] = Raw(tool.format_json)
    return custom


def _tool_choice(choice: ToolChoice, tools: Sequence[Tool]) -> object:
    if choice.mode is ToolChoiceMode.NAMED:
        if any(tool.is_custom and tool.name == choice.name for tool in tools):
            return {"type": "custom", "custom": {"name": choice.name}}
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
