"""The tools of a request for a response, and the choice among them, to and from the neutral form.

Only tools that the application runs itself can be translated. The grammar of a custom tool is nested
in the neutral form, as in chat completions, and flat here.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.neutral import Tool, ToolChoice, ToolChoiceMode
from meshgate.dialects.openai_api.request_body import decode, missing, unsupported
from meshgate.dialects.openai_responses.json_object import object_bytes
from meshgate.runtime.errors import InvalidRequestError


class _Typed(Struct):
    type: str


class _Function(Struct, tag_field="type", tag="function", forbid_unknown_fields=True):
    name: str
    description: str | None = None
    parameters: Raw = Raw()
    strict: bool | None = None


class _Custom(Struct, tag_field="type", tag="custom", forbid_unknown_fields=True):
    name: str
    description: str | None = None
    format: Raw = Raw()


class _TextFormat(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    pass


class _Grammar(Struct, forbid_unknown_fields=True):
    definition: str
    syntax: str


class _GrammarFormat(Struct, tag_field="type", tag="grammar", forbid_unknown_fields=True):
    """Flat here, nested in chat completions: both are read."""

    definition: str = ""
    syntax: str = ""
    grammar: _Grammar | None = None


_Tool: TypeAlias = _Function | _Custom


class WireChoice(Struct):
    """A choice that is no word, as it stands in the JSON."""

    type: str
    name: str | None = None


_TYPES = msgspec.json.Decoder(list[_Typed])
_TOOLS = msgspec.json.Decoder(list[_Tool])
_FORMAT = msgspec.json.Decoder(_TextFormat | _GrammarFormat)
_OWN = ("function", "custom")
_CHOICE_WORDS = {mode.value: mode for mode in ToolChoiceMode if mode is not ToolChoiceMode.NAMED}


def read(raw: Raw | None) -> tuple[Tool, ...]:
    """Read the member `tools`.

    Raises:
        InvalidRequestError: One breaks a rule of the API.
        UnsupportedError: One is none that the application runs itself.
    """
    if raw is None or bytes(raw) == b"null":
        return ()
    kinds: list[_Typed] = decode(_TYPES, bytes(raw))
    for at, kind in enumerate(kinds):
        if kind.type not in _OWN:
            raise unsupported(f"tools[{at}].type")
    offered: list[_Tool] = decode(_TOOLS, bytes(raw))
    return tuple(_tool(tool, f"tools[{at}]") for at, tool in enumerate(offered))


def read_choice(choice: str | WireChoice | None) -> ToolChoice | None:
    """Read the member `tool_choice`.

    Raises:
        InvalidRequestError: It breaks a rule of the API.
        UnsupportedError: It names something else than one tool of the application's own.
    """
    if choice is None:
        return None
    if isinstance(choice, WireChoice):
        if choice.type not in _OWN:
            raise unsupported("tool_choice.type")
        if not choice.name:
            raise missing("tool_choice.name")
        return ToolChoice(mode=ToolChoiceMode.NAMED, name=choice.name)
    mode = _CHOICE_WORDS.get(choice)
    if mode is None:
        raise InvalidRequestError(
            "Invalid value for 'tool_choice': expected auto, none or required.", field="tool_choice"
        )
    return ToolChoice(mode=mode)


def write(tools: Sequence[Tool]) -> list[dict[str, object]]:
    """Write the member `tools`.

    `strict` is always said: where it is absent, this API takes it for true, and others for false.
    """
    return [_written_custom(tool) if tool.is_custom else _written(tool) for tool in tools]


def write_choice(choice: ToolChoice, tools: Sequence[Tool]) -> object:
    """Write the member `tool_choice`."""
    if choice.mode is not ToolChoiceMode.NAMED:
        return choice.mode.value
    is_custom = any(tool.is_custom for tool in tools if tool.name == choice.name)
    return {"type": "custom" if is_custom else "function", "name": choice.name}


def _tool(tool: _Tool, at: str) -> Tool:
    if isinstance(tool, _Custom):
        return Tool(
            name=tool.name,
            description=tool.description or "",
            is_custom=True,
            format_json=_format(object_bytes(tool.format, f"{at}.format")),
        )
    return Tool(
        name=tool.name,
        description=tool.description or "",
        parameters_json=object_bytes(tool.parameters, f"{at}.parameters"),
        strict=tool.strict,
    )


def _format(raw: bytes) -> bytes:
    """The format of a custom tool as chat completions have it."""
    if not raw:
        return b""
    found = decode(_FORMAT, raw)
    if isinstance(found, _TextFormat):
        return b'{"type":"text"}'
    grammar = found.grammar or _Grammar(found.definition, found.syntax)
    return msgspec.json.encode({"type": "grammar", "grammar": grammar})


def _written(tool: Tool) -> dict[str, object]:
    written: dict[str, object] = {"type": "function", "name": tool.name}
    if tool.description:
        written["description"] = tool.description
    written["parameters"] = Raw(tool.parameters_json) if tool.parameters_json else None
    written["strict"] = tool.strict is True
    return written


def _written_custom(tool: Tool) -> dict[str, object]:
    written: dict[str, object] = {"type": "custom", "name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if tool.format_json:
        written["format"] = _flat(tool.format_json)
    return written


def _flat(format_json: bytes) -> dict[str, object]:
    found = decode(_FORMAT, format_json)
    if isinstance(found, _TextFormat):
        return {"type": "text"}
    grammar = found.grammar or _Grammar(found.definition, found.syntax)
    return {"type": "grammar", "syntax": grammar.syntax, "definition": grammar.definition}
