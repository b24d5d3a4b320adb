"""Writes requests for responses from the neutral form.

Nothing is to be stored; so that thoughts can be sent back all the same, they are asked for in the form
that only OpenAI can read, where the request is one to a model that thinks: others refuse it.
"""

import msgspec
from msgspec import Raw

from meshgate.dialects.extras import read_extras
from meshgate.dialects.neutral import (
    ChatRequest,
    Reasoning,
    ResponseFormat,
    ResponseFormatKind,
)
from meshgate.dialects.openai_api.output_bound import lower_bounds
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.openai_responses import input_items, thought, tools
from meshgate.dialects.openai_responses.fields import EXPRESSED, INEXPRESSIBLE, SHARED, STORED
from meshgate.dialects.output_cap import capped
from meshgate.dialects.reasoning_effort import effort_of

BOUND = "max_output_tokens"
ENCRYPTED = "reasoning.encrypted_content"


def write(
    request: ChatRequest, model: str, *, stream: bool, output_cap: int | None = None
) -> bytes:
    """Write a request to `model`.

    Where there is an `output_cap`, in tokens, no more is asked for.

    Raises:
        InvalidRequestError: A part of the request contradicts itself.
        UnsupportedError: This dialect cannot express something.
    """
    _refuse_foreign(request)
    request = capped(request, output_cap)
    members: dict[str, object] = {"model": model, "input": input_items.write(request.messages)}
    members |= _parameters(request)
    if request.tools:
        members["tools"] = tools.write(request.tools)
    if request.tool_choice is not None:
        members["tool_choice"] = tools.write_choice(request.tool_choice, request.tools)
    if text := _text(request):
        members["text"] = text
    if reasoning := _reasoning(request):
        members["reasoning"] = reasoning
    if reasoning or _has_own_thoughts(request):
        members["include"] = [ENCRYPTED]
    members["store"] = False
    if stream:
        members["stream"] = True
    extras = read_extras(
        request.extra_json,
        thought.DIALECT,
        origin=request.extra_dialect,
        expressed=EXPRESSED,
        refused=INEXPRESSIBLE.keys() | STORED.keys(),
        shared=SHARED.get(request.extra_dialect, ()),
    )
    if output_cap is not None:
        lower_bounds(extras, output_cap)
    return msgspec.json.encode(members | extras)


def _refuse_foreign(request: ChatRequest) -> None:
    """Refuse what this API has no member for."""
    asked = {
        "stop_sequences": bool(request.stop_sequences),
        "seed": request.seed is not None,
        "frequency_penalty": bool(request.frequency_penalty),
        "presence_penalty": bool(request.presence_penalty),
        "top_k": request.top_k is not None,
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise unsupported(name)


def _parameters(request: ChatRequest) -> dict[str, object]:
    parameters: dict[str, object | None] = {
        "parallel_tool_calls": request.parallel_tool_calls,
        BOUND: request.max_output_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "metadata": request.metadata or None,
        "user": request.user or None,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _reasoning(request: ChatRequest) -> dict[str, object]:
    written: dict[str, object] = {}
    effort = effort_of(request.reasoning_effort, request.reasoning_budget_tokens)
    if effort is not None:
        written["effort"] = effort
    if request.shows_reasoning:
        written["summary"] = "auto"
    return written


def _has_own_thoughts(request: ChatRequest) -> bool:
    return any(
        isinstance(part, Reasoning) and part.signature and part.origin in ("", thought.DIALECT)
        for message in request.messages
        for part in message.parts
    )


def _text(request: ChatRequest) -> dict[str, object]:
    written: dict[str, object] = {}
    if request.response_format is not None:
        written["format"] = _format(request.response_format)
    if request.verbosity is not None:
        written["verbosity"] = request.verbosity
    return written


def _format(wanted: ResponseFormat) -> dict[str, object]:
    written: dict[str, object] = {"type": wanted.kind.value}
    if wanted.kind is not ResponseFormatKind.JSON_SCHEMA:
        return written
    # Name and schema are demanded here, and not in every other dialect.
    written["name"] = wanted.name or "answer"
    written["schema"] = Raw(wanted.schema_json or b"{}")
    if wanted.description:
        written["description"] = wanted.description
    if wanted.strict is not None:
        written["strict"] = wanted.strict
    return written
