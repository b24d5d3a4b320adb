"""Writes requests for a message from the neutral form.

How what other dialects say becomes what Anthropic takes, beside what `turns` says of messages:

- `max_tokens` must be given: where the caller sets no bound it is what the model can write, as
  `models` knows it, and 8,192 for a model that is not known.
- How hard to think: models that decide by themselves are told the effort, and that they may think;
  older ones a budget. What is said in the other way is told as `reasoning_effort` has it; `minimal`
  is `low`. A round of tools whose first thought did not come back is finished without a budget: see
  `tool_round`. Where a tool must be called nobody is told to think, as Anthropic refuses both at once
  (platform.claude.com/docs/en/build-with-claude/extended-thinking, "Extended thinking with tool use"):
  the call is demanded, and the effort is a hint, which models that take one are told all the same.
- A JSON schema's name is a label that Anthropic has no place for; its description becomes the
  schema's own, unless that has one.
- Left out, as they change no answer: `metadata` (but the user's name), hints to cache that stand
  where Anthropic has none, `tool_choice` and `parallel_tool_calls` where there are no tools.
- Refused: `seed`, penalties, `verbosity`, temperatures above 1, custom tools, and JSON without a schema:
  a schema must say `additionalProperties: false` of every object, so none allows them all
  (platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations").
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from meshgate.dialects.anthropic_messages import tool_round, turns
from meshgate.dialects.anthropic_messages.fields import EXPRESSED, REFUSED
from meshgate.dialects.anthropic_messages.models import Traits, traits_of
from meshgate.dialects.extras import read_extras
from meshgate.dialects.neutral import (
    ChatRequest,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoiceMode,
)
from meshgate.dialects.openai_api.output_bound import lower_bounds
from meshgate.dialects.openai_api.request_body import (
    missing,
    unsupported,
    unsupported_without_schema,
)
from meshgate.dialects.output_cap import lower
from meshgate.dialects.reasoning_effort import BUDGETS, NONE, budget_of, effort_of

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_LEAST_BUDGET = 1_024
_EFFORTS = {"minimal": "low"}
_OFF: dict[str, object] = {"type": "disabled"}
_CHOICES = {
    ToolChoiceMode.AUTO: "auto",
    ToolChoiceMode.REQUIRED: "any",
    ToolChoiceMode.NAMED: "tool",
    ToolChoiceMode.NONE: "none",
}
# What has no place here: the members, and the values that ask for what is usual.
_INEXPRESSIBLE: dict[str, tuple[object, ...]] = {
    "seed": (None,),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "verbosity": (None, "", "medium"),
}


def write(
    request: ChatRequest, model: str, *, stream: bool, output_cap: int | None = None
) -> bytes:
    """Write a request to `model`, for no more than `output_cap` tokens if there is one.

    Raises:
        InvalidRequestError: A part of the request contradicts itself.
        UnsupportedError: This dialect cannot express something.
    """
    for name, usual in _INEXPRESSIBLE.items():
        if getattr(request, name) not in usual:
            raise unsupported(name)
    said = turns.write(request.messages)
    traits = traits_of(model)
    most = request.max_output_tokens or traits.output_tokens
    if output_cap is not None:
        most = lower(request.max_output_tokens, output_cap)
    members: dict[str, object] = {"model": model, "max_tokens": most}
    if said.system:
        members["system"] = turns.shortened(said.system)
    members["messages"] = said.messages
    members |= _sampling(request)
    members |= _tools(request)
    members |= _thinking(request, traits, most)
    if not _may_think(request, members, said.messages):
        del members["thinking"]
    if stream:
        members["stream"] = True
    extras = read_extras(
        request.extra_json,
        "anthropic_messages",
        origin=request.extra_dialect,
        expressed=EXPRESSED,
        refused=REFUSED,
    )
    if output_cap is not None:
        lower_bounds(extras, output_cap)
    return msgspec.json.encode(members | extras)


def _sampling(request: ChatRequest) -> dict[str, object]:
    if request.temperature is not None and request.temperature > 1:
        raise unsupported("temperature")
    members: dict[str, object | None] = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "stop_sequences": request.stop_sequences or None,
        "metadata": {"user_id": request.user} if request.user else None,
    }
    return {name: value for name, value in members.items() if value is not None}


def _tools(request: ChatRequest) -> dict[str, object]:
    if not request.tools:
        if request.must_call:
            raise unsupported("tool_choice")
        return {}
    members: dict[str, object] = {
        "tools": [_tool(tool, f"tools[{at}]") for at, tool in enumerate(request.tools)]
    }
    mode = request.tool_choice.mode if request.tool_choice else ToolChoiceMode.AUTO
    choice: dict[str, object] = {"type": _CHOICES[mode]}
    if request.tool_choice and mode is ToolChoiceMode.NAMED:
        choice["name"] = request.tool_choice.name
    if request.parallel_tool_calls is not None and mode is not ToolChoiceMode.NONE:
        choice["disable_parallel_tool_use"] = not request.parallel_tool_calls
    if request.tool_choice or len(choice) > 1:
        members["tool_choice"] = choice
    return members


def _tool(tool: Tool, at: str) -> dict[str, object]:
    if tool.is_custom or tool.format_json:
        raise unsupported(f"{at}.custom")
    written: dict[str, object] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["input_schema"] = _schema(tool.parameters_json)
    if tool.strict:
        written["strict"] = True
    if tool.cache_point is not None:
        written["cache_control"] = turns.cache_control(tool.cache_point)
    return written


def _schema(parameters_json: bytes) -> object:
    """The schema of a tool, which must say here that it is one of objects."""
    if not parameters_json:
        return {"type": "object", "properties": {}}
    members = _MEMBERS.decode(parameters_json)
    return Raw(parameters_json) if "type" in members else {"type": "object", **members}


def _thinking(request: ChatRequest, traits: Traits, most: int) -> dict[str, object]:
    """How hard to think, and in which form to answer: both stand in one member."""
    members: dict[str, object] = {}
    config: dict[str, object] = {}
    effort = effort_of(request.reasoning_effort, request.reasoning_budget_tokens)
    thinking = _adaptive(request, effort) if traits.is_adaptive else _budgeted(request, most=most)
    if thinking:
        if request.shows_reasoning is not None and thinking != _OFF:
            shown = "summarized" if request.shows_reasoning else "omitted"
            thinking = {**thinking, "display": shown}
        members["thinking"] = thinking
    if effort and effort != NONE and traits.is_adaptive:
        config["effort"] = _EFFORTS.get(effort, effort)
    if request.response_format is not None:
        config |= _format(request.response_format)
    if config:
        members["output_config"] = config
    return members


def _may_think(
    request: ChatRequest, members: dict[str, object], messages: Sequence[Mapping[str, Any]]
) -> bool:
    """Whether Anthropic takes what is said of thinking beside the rest."""
    thinking = members.get("thinking", _OFF)
    if thinking == _OFF:
        return True
    is_enabled = isinstance(thinking, dict) and thinking["type"] == "enabled"
    return not (request.must_call or (is_enabled and tool_round.lacks_thought(messages)))


def _adaptive(request: ChatRequest, effort: str | None) -> dict[str, object]:
    if effort == NONE:
        return _OFF
    return {"type": "adaptive"} if effort or request.shows_reasoning else {}


def _budgeted(request: ChatRequest, *, most: int) -> dict[str, object]:
    budget = budget_of(request.reasoning_budget_tokens, request.reasoning_effort)
    if budget is None and request.reasoning_effort:
        raise unsupported("reasoning_effort")
    if budget is None and request.shows_reasoning:
        budget = BUDGETS["low"]
    if not budget:
        return {} if budget is None else _OFF
    # It is a part of what may be written, and less than that. Where there is too little, Anthropic says
    # so.
    return {"type": "enabled", "budget_tokens": max(_LEAST_BUDGET, min(budget, most - 1))}


def _format(wanted: ResponseFormat) -> dict[str, object]:
    if wanted.kind is ResponseFormatKind.TEXT:
        return {}
    if wanted.kind is ResponseFormatKind.JSON_OBJECT:
        raise unsupported_without_schema("response_format.type")
    if not wanted.schema_json:
        raise missing("response_format.json_schema.schema")
    schema: object = Raw(wanted.schema_json)
    if wanted.description:
        members = _MEMBERS.decode(wanted.schema_json)
        if "description" in members:
            raise unsupported("response_format.json_schema.description")
        schema = {"description": wanted.description, **members}
    return {"format": {"type": "json_schema", "schema": schema}}
