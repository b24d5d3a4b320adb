"""Writes Converse requests from the neutral form.

The forms are those of the API's reference and of botocore's model of the service
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, botocore 1.44.8
bedrock-runtime 2023-09-30). Which model is asked stands in the address, and so does whether the answer
is streamed. `user` is left out: the API has no place for it, and it changes no answer. Thoughts are
always shown here where there are some.
"""

import msgspec
from msgspec import Raw

from meshgate.dialects.bedrock_converse import model_family
from meshgate.dialects.bedrock_converse.fields import EXPRESSED, INEXPRESSIBLE, NAME, SHARED
from meshgate.dialects.bedrock_converse.messages import Conversation, cache_point
from meshgate.dialects.bedrock_converse.model_family import Family, family_of
from meshgate.dialects.extras import read_extras
from meshgate.dialects.neutral import (
    ChatRequest,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from meshgate.dialects.openai_api.request_body import unsupported, unsupported_without_schema
from meshgate.dialects.output_cap import capped
from meshgate.runtime.errors import InvalidRequestError

_ANY_OBJECT = Raw(b'{"type":"object","properties":{}}')
_OWN_FIELDS = "additionalModelRequestFields"
_TIERS = {"default", "flex", "priority", "reserved"}
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_WORD = msgspec.json.Decoder(str)


def write(
    request: ChatRequest, model: str, *, stream: bool, output_cap: int | None = None
) -> bytes:
    """Write a request for `model`; it asks for no more than `output_cap` tokens, if there is one.

    Raises:
        InvalidRequestError: A part of the request contradicts itself.
        UnsupportedError: Converse, or the model's family, cannot be told something.
    """
    del stream
    family = family_of(model)
    request = model_family.in_terms_of(family, capped(request, output_cap))
    _check(request)
    said = Conversation(request.messages, is_claude=family.is_claude)
    members: dict[str, object] = {"messages": said.turns}
    if said.system:
        members["system"] = said.system
    if inference := _inference(request):
        members["inferenceConfig"] = inference
    if tools := _tools(request, family, has_tool_use=said.has_tool_use):
        members["toolConfig"] = tools
    if output := _output(request, family):
        members["outputConfig"] = output
    if request.stop_sequences and family.is_claude:
        members["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    if request.metadata:
        members["requestMetadata"] = request.metadata
    own = model_family.own_members(request, family, has_tool_use=said.has_tool_use)
    if own:
        members[_OWN_FIELDS] = own
    return msgspec.json.encode(members | _extras(request, own))


def _check(request: ChatRequest) -> None:
    """Refuse what Converse has no place for."""
    if request.seed is not None:
        raise unsupported("seed")
    if request.verbosity is not None:
        raise unsupported("verbosity")
    if request.frequency_penalty:
        raise unsupported("frequency_penalty")
    if request.presence_penalty:
        raise unsupported("presence_penalty")
    if request.shows_reasoning is False:
        raise unsupported("shows_reasoning")


def _inference(request: ChatRequest) -> dict[str, object]:
    inference: dict[str, object | None] = {
        "maxTokens": request.max_output_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "stopSequences": request.stop_sequences or None,
    }
    return {name: value for name, value in inference.items() if value is not None}


def _tools(request: ChatRequest, family: Family, *, has_tool_use: bool) -> dict[str, object]:
    choice = request.tool_choice
    if not request.tools:
        return {}
    if choice is not None and choice.mode is ToolChoiceMode.NONE and not has_tool_use:
        return {}  # a model that knows no tools calls none
    tools: list[dict[str, object]] = []
    for at, tool in enumerate(request.tools):
        tools.append({"toolSpec": _tool(tool, f"tools[{at}]")})
        if tool.cache_point is not None:
            tools.append(cache_point(tool.cache_point))
    written: dict[str, object] = {"tools": tools}
    is_own = model_family.is_chosen_by_family(request, family, has_tool_use=has_tool_use)
    if choice is not None and not is_own:
        written["toolChoice"] = _tool_choice(choice)
    return written


def _tool(tool: Tool, at: str) -> dict[str, object]:
    if tool.is_custom:
        raise unsupported(f"{at}.custom")
    schema = Raw(tool.parameters_json) if tool.parameters_json else _ANY_OBJECT
    written: dict[str, object] = {"name": tool.name, "inputSchema": {"json": schema}}
    if tool.description:
        written["description"] = tool.description
    if tool.strict is not None:
        written["strict"] = tool.strict
    return written


def _tool_choice(choice: ToolChoice) -> dict[str, object]:
    if choice.mode is ToolChoiceMode.NAMED:
        return {"tool": {"name": choice.name}}
    return {"any": {}} if choice.mode is ToolChoiceMode.REQUIRED else {"auto": {}}


def _output(request: ChatRequest, family: Family) -> dict[str, object]:
    output: dict[str, object] = {}
    if (wanted := request.response_format) is not None:
        output |= _text_format(wanted)
    if effort := model_family.own_effort(request, family):
        output["effort"] = effort
    return output


def _text_format(wanted: ResponseFormat) -> dict[str, object]:
    if wanted.kind is ResponseFormatKind.TEXT:
        return {}
    if wanted.kind is ResponseFormatKind.JSON_OBJECT or not wanted.schema_json:
        raise unsupported_without_schema("response_format")
    schema = {"schema": wanted.schema_json.decode()}
    if wanted.name:
        schema["name"] = wanted.name
    if wanted.description:
        schema["description"] = wanted.description
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


def _extras(request: ChatRequest, own: dict[str, object]) -> dict[str, object]:
    extras: dict[str, object] = {
        **read_extras(
            request.extra_json,
            NAME,
            origin=request.extra_dialect,
            expressed=EXPRESSED,
            refused=INEXPRESSIBLE,
            shared=SHARED,
        )
    }
    if request.extra_dialect not in ("", NAME):
        tier = extras.pop("service_tier", None)
        return extras | (_service_tier(tier) if isinstance(tier, Raw) else {})
    if isinstance(more := extras.get(_OWN_FIELDS), Raw):
        extras[_OWN_FIELDS] = own | _distinct(more, own)
    return extras


def _distinct(raw: Raw, own: dict[str, object]) -> dict[str, Raw]:
    """What a request adds for the model's family, which must not say again what it says elsewhere.

    How much may be written has a field of its own, however the family calls it: what stood here could
    ask for more than the gateway allows.
    """
    try:
        more = _MEMBERS.decode(raw)
        bounds = {name for name, value in more.items() if _is_bound(name, value)}
    except msgspec.DecodeError:
        field = f"extra_json.{_OWN_FIELDS}"
        raise InvalidRequestError(f"'{field}' must be an object.", field=field) from None
    for name in more:
        if name in own or name in bounds:
            field = f"extra_json.{_OWN_FIELDS}.{name}"
            raise InvalidRequestError(f"'{field}' is said elsewhere too.", field=field)
    return more


def _is_bound(name: str, value: Raw) -> bool:
    """Whether a member says how much may be written, itself or at any depth."""
    left: list[object] = [{name: msgspec.json.decode(value)}]
    while left:
        found = left.pop()
        if isinstance(found, dict):
            if any(map(model_family.is_bound, found)):
                return True
            left += found.values()
    return False


def _service_tier(raw: Raw) -> dict[str, object]:
    """The tier that is asked for; `auto` is what Bedrock does by itself."""
    try:
        tier = _WORD.decode(raw)
    except msgspec.DecodeError:
        tier = ""
    if bytes(raw) == b"null" or tier == "auto":
        return {}
    if tier not in _TIERS:
        raise unsupported("service_tier")
    return {"serviceTier": {"type": tier}}
