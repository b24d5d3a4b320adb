"""Writes generateContent requests from the neutral form.

Left out, for the answer is the same without them: who asks (`user`, `metadata`: Google's `labels` are
known at Vertex only), hints for caches, the name of a schema, and that there be one call at a time
where only one tool can be called. What is strict elsewhere is the mode
VALIDATED here; answers that have a schema always keep to it.
"""

import re
from typing import Any

import msgspec
from msgspec import Raw

from meshgate.dialects.extras import read_extras
from meshgate.dialects.gemini_generate import contents, media_resolution
from meshgate.dialects.gemini_generate.signed_thoughts import DIALECT
from meshgate.dialects.neutral import (
    ChatRequest,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.output_cap import capped
from meshgate.dialects.reasoning_effort import budget_of
from meshgate.runtime.errors import InvalidRequestError

_EXPRESSED = frozenset(
    {"model", "contents", "systemInstruction", "tools", "toolConfig", "labels"}
    | {"system_instruction", "tool_config", "generation_config"}
)
_NOT_EXTRA = frozenset({"maxOutputTokens", "candidateCount"})
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
# Models before the third generation are told how much to think, later ones how hard; and only the
# later ones want calls to be signed.
_EARLY = re.compile(r"(?:models/)?gemini-(?:1|2)(?:[.-]|$)")
# What Google's own translation of OpenAI's words makes of them:
# https://ai.google.dev/gemini-api/docs/openai#thinking
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
_LEVELS = {word: word.upper() for word in _BUDGETS}
_MODES = {
    ToolChoiceMode.AUTO: "AUTO",
    ToolChoiceMode.NONE: "NONE",
    ToolChoiceMode.REQUIRED: "ANY",
    ToolChoiceMode.NAMED: "ANY",
}


def write(
    request: ChatRequest, model: str, *, stream: bool, output_cap: int | None = None
) -> bytes:
    """Write a request; the model, and whether to stream, stand in the URL.

    Raises:
        InvalidRequestError: The conversation or `extra_json` does not make sense.
        UnsupportedError: Gemini cannot express a part or a parameter.
    """
    del stream
    request = capped(request, output_cap)
    is_early = _EARLY.match(model) is not None
    said = contents.write(request.messages, signs_calls=not is_early)
    members: dict[str, object] = {"contents": said}
    if (instruction := contents.write_instruction(request.messages)) is not None:
        members["systemInstruction"] = instruction
    if request.tools:
        members["tools"] = [{"functionDeclarations": _declarations(request.tools)}]
    if (calling := _calling(request)) is not None:
        members["toolConfig"] = {"functionCallingConfig": calling}
    extras = read_extras(
        request.extra_json,
        DIALECT,
        origin=request.extra_dialect,
        expressed=_EXPRESSED,
        refused=(),
    )
    config = _config(request, is_early=is_early)
    if is_early and (level := media_resolution.taken_out(said)) is not None:
        config["mediaResolution"] = level
    more = extras.pop("generationConfig", None)
    if more is not None:
        config |= _more_config(more, config)
    if config:
        members["generationConfig"] = config
    return msgspec.json.encode(members | extras)


def _declarations(tools: tuple[Tool, ...]) -> list[dict[str, object]]:
    return [_declaration(tool, f"tools[{at}]") for at, tool in enumerate(tools)]


def _declaration(tool: Tool, at: str) -> dict[str, object]:
    if tool.is_custom:
        raise unsupported(f"{at}.custom")
    written: dict[str, object] = {"name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.parameters_json:
        written["parametersJsonSchema"] = Raw(tool.parameters_json)
    return written


def _calling(request: ChatRequest) -> dict[str, object] | None:
    if request.must_call_singly:
        raise unsupported("parallel_tool_calls")
    choice = request.tool_choice
    is_strict = any(tool.strict for tool in request.tools)
    if choice is None and not is_strict:
        return None
    choice = choice or ToolChoice(mode=ToolChoiceMode.AUTO)
    if choice.mode is ToolChoiceMode.AUTO and is_strict:
        return {"mode": "VALIDATED"}
    calling: dict[str, object] = {"mode": _MODES[choice.mode]}
    if choice.mode is ToolChoiceMode.NAMED:
        calling["allowedFunctionNames"] = [choice.name]
    return calling


def _config(request: ChatRequest, *, is_early: bool) -> dict[str, object]:
    if request.verbosity not in {None, "medium"}:  # that is how much is said without a word
        raise unsupported("verbosity")
    members: dict[str, object | None] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "maxOutputTokens": request.max_output_tokens,
        "stopSequences": list(request.stop_sequences) or None,
        "seed": request.seed,
        "presencePenalty": request.presence_penalty,
        "frequencyPenalty": request.frequency_penalty,
        "thinkingConfig": _thinking(request, is_early=is_early) or None,
    }
    if request.response_format is not None:
        members |= _response_format(request.response_format)
    return {name: value for name, value in members.items() if value is not None}


def _response_format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.kind is ResponseFormatKind.TEXT:
        return {"responseMimeType": "text/plain"}
    written: dict[str, Any] = {"responseMimeType": "application/json"}
    if wanted.kind is ResponseFormatKind.JSON_SCHEMA and wanted.schema_json:
        written["responseJsonSchema"] = _described(wanted)
    return written


def _described(wanted: ResponseFormat) -> Raw:
    """The schema, with what is said of it where it says nothing itself."""
    if not wanted.description:
        return Raw(wanted.schema_json)
    members = _MEMBERS.decode(wanted.schema_json)
    members.setdefault("description", Raw(msgspec.json.encode(wanted.description)))
    return Raw(msgspec.json.encode(members))


def _thinking(request: ChatRequest, *, is_early: bool) -> dict[str, object]:
    written: dict[str, object] = {}
    if request.shows_reasoning is not None:
        written["includeThoughts"] = request.shows_reasoning
    effort = request.reasoning_effort
    budget = budget_of(request.reasoning_budget_tokens, effort, _BUDGETS)
    if budget is None:
        if effort is not None:
            raise unsupported("reasoning_effort")
        return written
    # Gemini takes one of the two.
    if effort is None or is_early or budget == 0 or request.reasoning_budget_tokens is not None:
        return written | {"thinkingBudget": budget}
    return written | {"thinkingLevel": _LEVELS[effort]}


def _more_config(more: Raw, config: dict[str, object]) -> dict[str, Raw]:
    """What the upstream may know of, and the neutral form does not."""
    field = "extra_json.generationConfig"
    members = contents.object_of(bytes(more).decode())
    if members is None:
        raise InvalidRequestError(f"'{field}' must be a JSON object.", field=field)
    for name in members:
        if name in config or name in _NOT_EXTRA or "_" in name:
            raise InvalidRequestError(
                f"'{name}' has a field of its own and may not stand in extra_json.",
                field=f"{field}.{name}",
                name=name,
            )
    return members
