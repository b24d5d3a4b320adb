"""Reads generateContent requests: only the head, or all of it into the neutral form.

A safety setting that turns a filter off asks nothing of who has no such filter, and is left out.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.gemini_generate import conversation, schemas
from meshgate.dialects.gemini_generate.member_names import with_camel_case
from meshgate.dialects.gemini_generate.signed_thoughts import DIALECT
from meshgate.dialects.gemini_generate.wire import REQUEST, Content
from meshgate.dialects.neutral import (
    ChatRequest,
    ResponseFormat,
    ResponseFormatKind,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from meshgate.dialects.openai_api import service_tier
from meshgate.dialects.openai_api.request_body import decode, missing, unsupported
from meshgate.runtime.errors import InvalidRequestError

PREFIX = "models/"
"""Before the name of a model, where Google says which kind of thing it is."""

_ModelName = Annotated[str, Meta(max_length=512 + len(PREFIX))]
_Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
_Choices = Annotated[int, Meta(ge=1, le=128)]
_JSON, _PLAIN = "application/json", "text/plain"
_NOT_FILTERED = frozenset({"BLOCK_NONE", "OFF"})
_NOTHING = (b"", b"null", b"[]", b"{}", b"false")
# The name of a schema, which other APIs want one to have.
_SCHEMA_NAME = "response"


class _HeadConfig(Struct, rename="camel", gc=False):
    max_output_tokens: _Int32 | None = None
    candidate_count: _Choices | None = None


class _AnyObject(Struct, gc=False):
    pass


class _Head(Struct, rename="camel", gc=False):
    model: _ModelName
    contents: list[_AnyObject] | _AnyObject
    generation_config: _HeadConfig | None = None
    service_tier: object = None


class _Declaration(Struct, rename="camel", forbid_unknown_fields=True):
    name: str
    description: str | None = None
    parameters: Raw = Raw()
    parameters_json_schema: Raw = Raw()
    response: Raw = Raw()
    response_json_schema: Raw = Raw()


class _Tool(Struct, rename="camel", forbid_unknown_fields=True):
    function_declarations: list[_Declaration] | None = None


class _CallingConfig(Struct, rename="camel", forbid_unknown_fields=True):
    mode: str | None = None
    allowed_function_names: list[str] | None = None


class _ToolConfig(Struct, rename="camel", forbid_unknown_fields=True):
    function_calling_config: _CallingConfig | None = None


class _Thinking(Struct, rename="camel", forbid_unknown_fields=True):
    include_thoughts: bool | None = None
    thinking_budget: _Int32 | None = None
    thinking_level: str | None = None


class _Config(Struct, rename="camel", forbid_unknown_fields=True):
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    max_output_tokens: _Int32 | None = None
    stop_sequences: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_mime_type: str | None = None
    response_schema: Raw = Raw()
    response_json_schema: Raw = Raw()
    thinking_config: _Thinking | None = None
    candidate_count: int | None = None
    response_modalities: list[str] | None = None


class _SafetySetting(Struct, rename="camel"):
    threshold: str | None = None


class _Request(Struct, rename="camel"):
    contents: list[Content] | Content
    system_instruction: Content | None = None
    tools: list[_Tool] | None = None
    tool_config: _ToolConfig | None = None
    generation_config: _Config | None = None
    safety_settings: list[_SafetySetting] | None = None
    labels: dict[str, str] | None = None


_EXPRESSED = frozenset(
    {"model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "labels"}
)
_HEAD = msgspec.json.Decoder(_Head)
_REQUEST = msgspec.json.Decoder(_Request)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_MODES = {
    "AUTO": ToolChoiceMode.AUTO,
    "VALIDATED": ToolChoiceMode.AUTO,
    "ANY": ToolChoiceMode.REQUIRED,
    "NONE": ToolChoiceMode.NONE,
}


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs; whether the answer is streamed, only the edge knows.

    Raises:
        InvalidRequestError: The body is malformed, or what was read is not as it must be.
    """
    head = decode(_HEAD, with_camel_case(body, REQUEST))
    name = head.model.removeprefix(PREFIX)
    if not name:
        raise missing("model")
    config = head.generation_config or _HeadConfig()
    bound = config.max_output_tokens
    return RequestHead(
        name,
        include_usage=True,
        max_output_tokens=bound if bound and bound > 0 else None,
        choices=config.candidate_count or 1,
        service_tier=service_tier.read(head.service_tier),
    )


def read(body: bytes) -> ChatRequest:
    """Read all of a request.

    Raises:
        InvalidRequestError: The body is malformed.
        UnsupportedError: The neutral form cannot express a field.
    """
    head = read_head(body)
    body = with_camel_case(body, REQUEST)
    request = decode(_REQUEST, body)
    config = request.generation_config or _Config()
    _check(config)
    contents = request.contents if isinstance(request.contents, list) else [request.contents]
    is_strict, choice = _tool_choice(request.tool_config)
    thinking = config.thinking_config or _Thinking()
    extra = _extras(decode(_MEMBERS, body), request)
    instruction = conversation.read_instruction(request.system_instruction)
    return ChatRequest(
        model=head.model,
        messages=(*instruction, *conversation.read(contents)),
        tools=_tools(request.tools or (), is_strict=is_strict),
        tool_choice=choice,
        response_format=_response_format(config),
        max_output_tokens=head.max_output_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        stop_sequences=tuple(config.stop_sequences or ()),
        seed=config.seed,
        frequency_penalty=config.frequency_penalty,
        presence_penalty=config.presence_penalty,
        reasoning_effort=_effort(thinking.thinking_level),
        reasoning_budget_tokens=_budget(thinking.thinking_budget),
        shows_reasoning=thinking.include_thoughts,
        metadata=request.labels or {},
        top_k=_top_k(config.top_k),
        extra_json=msgspec.json.encode(extra) if extra else b"",
        extra_dialect=DIALECT if extra else "",
    )


def _extras(members: dict[str, Raw], request: _Request) -> dict[str, Raw]:
    known = _EXPRESSED
    thresholds = {setting.threshold for setting in request.safety_settings or ()}
    if thresholds <= _NOT_FILTERED:
        known |= {"safetySettings"}
    return {
        name: value
        for name, value in members.items()
        if name not in known and bytes(value) not in _NOTHING
    }


def _check(config: _Config) -> None:
    """Refuse what asks for an answer that is not one text."""
    if (config.candidate_count or 1) != 1:
        raise unsupported("generationConfig.candidateCount")
    modalities = {word.upper() for word in config.response_modalities or ()}
    if modalities - {"TEXT", "MODALITY_UNSPECIFIED"}:
        raise unsupported("generationConfig.responseModalities")


def _tools(tools: Any, *, is_strict: bool) -> tuple[Tool, ...]:
    return tuple(
        _tool(declaration, f"tools[{at}].functionDeclarations[{number}]", is_strict=is_strict)
        for at, tool in enumerate(tools)
        for number, declaration in enumerate(tool.function_declarations or ())
    )


def _tool(declaration: _Declaration, at: str, *, is_strict: bool) -> Tool:
    for name in ("response", "response_json_schema"):
        if bytes(getattr(declaration, name)) not in _NOTHING:
            raise unsupported(f"{at}.{'response' if name == 'response' else 'responseJsonSchema'}")
    schema = _schema(declaration.parameters, declaration.parameters_json_schema, f"{at}.parameters")
    return Tool(
        name=declaration.name,
        description=declaration.description or "",
        parameters_json=schema,
        strict=True if is_strict else None,
    )


def _schema(openapi: Raw, schema: Raw, field: str) -> bytes:
    """The JSON Schema that is given in either form; empty where there is none."""
    if bytes(schema) not in _NOTHING:
        if bytes(openapi) not in _NOTHING:
            raise InvalidRequestError(f"Give either '{field}' or '{field}JsonSchema'.", field=field)
        if not bytes(schema).startswith(b"{"):
            raise InvalidRequestError(f"'{field}JsonSchema' is no schema.", field=field)
        return bytes(schema)
    if bytes(openapi) in _NOTHING:
        return b""
    return schemas.json_schema(bytes(openapi), field)


def _tool_choice(config: _ToolConfig | None) -> tuple[bool, ToolChoice | None]:
    """Whether calls must keep to their schemas, and which are wanted."""
    calling = config.function_calling_config if config else None
    if calling is None or calling.mode in {None, "", "MODE_UNSPECIFIED"}:
        if calling is not None and calling.allowed_function_names:
            raise unsupported("toolConfig.functionCallingConfig.allowedFunctionNames")
        return False, None
    mode = _MODES.get(calling.mode or "")
    if mode is None:
        raise InvalidRequestError(
            "Invalid value for 'toolConfig.functionCallingConfig.mode': expected AUTO, ANY, NONE or"
            " VALIDATED.",
            field="toolConfig.functionCallingConfig.mode",
        )
    names = calling.allowed_function_names or []
    if not names:
        return calling.mode == "VALIDATED", ToolChoice(mode=mode)
    if mode is not ToolChoiceMode.REQUIRED or len(names) > 1:
        raise unsupported("toolConfig.functionCallingConfig.allowedFunctionNames")
    return False, ToolChoice(mode=ToolChoiceMode.NAMED, name=names[0])


def _response_format(config: _Config) -> ResponseFormat | None:
    at = "generationConfig.response"
    schema = bytes(config.response_schema), bytes(config.response_json_schema)
    has_schema = any(each not in _NOTHING for each in schema)
    if config.response_mime_type in {None, "", _PLAIN}:
        if has_schema:
            raise InvalidRequestError(
                f"'{at}Schema' needs '{at}MimeType' to be {_JSON}.", field=f"{at}MimeType"
            )
        return ResponseFormat(kind=ResponseFormatKind.TEXT) if config.response_mime_type else None
    if config.response_mime_type != _JSON:
        raise unsupported(f"{at}MimeType")
    if not has_schema:
        return ResponseFormat(kind=ResponseFormatKind.JSON_OBJECT)
    return ResponseFormat(
        kind=ResponseFormatKind.JSON_SCHEMA,
        schema_json=_schema(config.response_schema, config.response_json_schema, f"{at}Schema"),
        name=_SCHEMA_NAME,
    )


def _effort(level: str | None) -> str | None:
    if level in {None, "", "THINKING_LEVEL_UNSPECIFIED"}:
        return None
    return (level or "").lower()


def _budget(tokens: int | None) -> int | None:
    """At most so many tokens; Google's -1 leaves it to the model."""
    return tokens if tokens is not None and tokens >= 0 else None


def _top_k(value: float | None) -> int | None:
    if value is not None and value != int(value):
        raise InvalidRequestError(
            "Invalid value for 'generationConfig.topK': expected a whole number.",
            field="generationConfig.topK",
        )
    return None if value is None else int(value)
