"""Requests and answers in a form in which what means the same is the same.

Dialects cut a conversation into messages in ways of their own: turns of one side that follow each
other are one here, results of tools stand beside them, and tool calls go by their number instead of
ids, which some dialects do not have. JSON is compared by what it says. What is compared is a flat
record of paths and values, in which what is absent does not stand.
"""

import enum
import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from meshgate.dialects.neutral import (
    ChatRequest,
    ChatResponse,
    Message,
    Part,
    Role,
    ToolCall,
    ToolResult,
)

_OF_ONE_REQUEST = ("model", "messages", "extra_json", "extra_dialect")
_JSON = ("parameters_json", "schema_json", "format_json", "arguments_json")
_NO_PARAMETERS = ({}, {"type": "object"}, {"type": "object", "properties": {}})
# Zero and false mean something where the neutral form has None for what is absent.
_ABSENT = (None, "", b"", (), {})


def of_request(request: ChatRequest) -> dict[str, Any]:
    """All that a request says but the model's name."""
    numbers = _Numbers()
    plain = {"messages": list(_turns(request.messages, numbers))}
    for name in request.__struct_fields__:
        if name not in _OF_ONE_REQUEST:
            plain[name] = _plain(getattr(request, name), numbers)
    if request.extra_json:
        plain["extra"] = json.loads(request.extra_json)
    return dict(_flat(plain, ""))


def of_answer(response: ChatResponse) -> dict[str, Any]:
    """All that an answer says but its id."""
    numbers = _Numbers()
    plain = {
        "parts": [_plain(part, numbers) for part in response.message.parts],
        "finish_reason": response.finish_reason.value,
        "usage": _plain(response.usage, numbers),
        "stop_sequence": response.stop_sequence,
        "served_model": response.served_model,
    }
    return dict(_flat(plain, ""))


class _Numbers:
    """Tool calls by their number, in the order in which they are first spoken of."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def of(self, call_id: str) -> str:
        return f"#{self._numbers.setdefault(call_id, len(self._numbers) + 1)}"


def _turns(messages: tuple[Message, ...], numbers: _Numbers) -> Iterator[dict[str, Any]]:
    turn: dict[str, Any] = {}
    for message in messages:
        for part in message.parts:
            role = Role.TOOL if isinstance(part, ToolResult) else message.role
            if (role.value, message.name) != (turn.get("role"), turn.get("name")):
                if turn:
                    yield turn
                turn = {"role": role.value, "name": message.name, "parts": []}
            turn["parts"].append(_plain(part, numbers))
    if turn:
        yield turn


def _plain(value: Any, numbers: _Numbers) -> Any:
    match value:
        case ToolCall():
            return {**_members(value, numbers), "id": numbers.of(value.id)}
        case ToolResult():
            return {**_members(value, numbers), "tool_call_id": numbers.of(value.tool_call_id)}
        case msgspec.Struct():
            return _members(value, numbers)
        case tuple():
            return [_plain(item, numbers) for item in value]
        case enum.Enum():
            return value.value
        case _:
            return value


def _members(value: msgspec.Struct, numbers: _Numbers) -> dict[str, Any]:
    members = {"kind": type(value).__name__} if isinstance(value, Part) else {}
    is_fetched = bool(getattr(value, "uri", ""))
    for name in value.__struct_fields__:
        if name == "media_type" and is_fetched:
            continue  # what is fetched says itself what it is
        if name == "strict" and value.strict is False:
            continue  # as where nothing is said of it
        member = getattr(value, name)
        members[name] = _json(member) if name in _JSON else _plain(member, numbers)
    return members


def _json(text: str | bytes) -> Any:
    """What JSON says, in one word; itself where it is none."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return text
    return None if value in _NO_PARAMETERS else json.dumps(value, sort_keys=True)


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, member in value.items():
            yield from _flat(member, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for at, member in enumerate(value):
            yield from _flat(member, f"{path}[{at}]")
    elif value not in _ABSENT and value != []:
        yield path, value
