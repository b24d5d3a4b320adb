"""Writes Cohere chat requests from the neutral form.

https://docs.cohere.com/reference/chat (the second version), and cohere-python 7.3.1. `user` and `metadata`
are left out: the API has no place for them, and they change no answer. So is that there be one call at a
time, where only one tool can be called. That one certain tool must be
called is told by telling of no other. An answer cites only where that is asked for: by a document, or
by the API's own `citation_options`.
"""

import msgspec
from msgspec import Raw

from meshgate.dialects.cohere_chat.fields import EXPRESSED, INEXPRESSIBLE, NAME
from meshgate.dialects.cohere_chat.messages import Conversation
from meshgate.dialects.extras import read_extras
from meshgate.dialects.neutral import (
    ChatRequest,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoiceMode,
)
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.output_cap import capped
from meshgate.dialects.reasoning_effort import BUDGETS, budget_of

_NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
_UNBOUNDED = "high"
_BUDGETS = {word: tokens for word, tokens in BUDGETS.items() if word != _UNBOUNDED}
_CHOICES = {
    ToolChoiceMode.REQUIRED: "REQUIRED",
    ToolChoiceMode.NAMED: "REQUIRED",
    ToolChoiceMode.NONE: "NONE",
}


def write(
    request: ChatRequest, model: str, *, stream: bool, output_cap: int | None = None
) -> bytes:
    """Write a request to `model`; it asks for no more than `output_cap` tokens, if there is one.

    Raises:
        InvalidRequestError: A part of the request contradicts itself.
        UnsupportedError: Cohere cannot be told something.
    """
    request = capped(request, output_cap)
    _check(request)
    said = Conversation(request.messages)
    members: dict[str, object] = {"model": model, "messages": said.turns, "stream": stream}
    members |= _parameters(request) | _tools(request) | _thinking(request)
    if request.response_format is not None:
        members |= _response_format(request.response_format)
    if said.documents:
        members["documents"] = said.documents
    if (said.documents or request.tools) and not said.is_cited:
        members["citation_options"] = {"mode": "OFF"}
    extras = read_extras(
        request.extra_json,
        NAME,
        origin=request.extra_dialect,
        expressed=EXPRESSED,
        refused=INEXPRESSIBLE,
    )
    return msgspec.json.encode(members | extras)


def _check(request: ChatRequest) -> None:
    """Refuse what Cohere has no place for."""
    if request.verbosity is not None:
        raise unsupported("verbosity")
    if request.shows_reasoning is False:
        raise unsupported("shows_reasoning")
    if request.must_call_singly:
        raise unsupported("parallel_tool_calls")


def _parameters(request: ChatRequest) -> dict[str, object]:
    parameters: dict[str, object | None] = {
        "max_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "p": request.top_p,
        "k": request.top_k,
        "stop_sequences": request.stop_sequences or None,
        "seed": request.seed,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _tools(request: ChatRequest) -> dict[str, object]:
    choice, tools = request.tool_choice, request.tools
    if not tools:
        return {}
    if choice is not None and choice.mode is ToolChoiceMode.NAMED:
        tools = tuple(tool for tool in tools if tool.name == choice.name)
        if not tools:
            raise unsupported("tool_choice")
    written: dict[str, object] = {
        "tools": [_tool(tool, f"tools[{at}]") for at, tool in enumerate(tools)]
    }
    if choice is not None and choice.mode in _CHOICES:
        written["tool_choice"] = _CHOICES[choice.mode]
    # It is said of all tools, or of none.
    if any(tool.strict for tool in tools):
        if not all(tool.strict for tool in tools):
            raise unsupported("tools.strict")
        written["strict_tools"] = True
    return written


def _tool(tool: Tool, at: str) -> dict[str, object]:
    if tool.is_custom:
        raise unsupported(f"{at}.custom")
    parameters = Raw(tool.parameters_json) if tool.parameters_json else _NO_PARAMETERS
    function: dict[str, object] = {"name": tool.name, "parameters": parameters}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _thinking(request: ChatRequest) -> dict[str, object]:
    """There is no thinking, so much at most, and as much as the model likes, which is `high`."""
    effort = request.reasoning_effort
    tokens = budget_of(request.reasoning_budget_tokens, effort, _BUDGETS)
    if tokens == 0:
        return {"thinking": {"type": "disabled"}}
    if tokens is not None:
        return {"thinking": {"type": "enabled", "token_budget": tokens}}
    if effort not in (None, _UNBOUNDED):
        raise unsupported("reasoning_effort")
    return {} if effort is None else {"thinking": {"type": "enabled"}}


def _response_format(wanted: ResponseFormat) -> dict[str, object]:
    if wanted.kind is ResponseFormatKind.TEXT:
        return {}
    if wanted.description:
        raise unsupported("response_format.json_schema.description")
    written: dict[str, object] = {"type": "json_object"}
    if wanted.kind is ResponseFormatKind.JSON_SCHEMA:
        if not wanted.schema_json:
            raise unsupported("response_format")
        written["json_schema"] = Raw(wanted.schema_json)
    return {"response_format": written}
