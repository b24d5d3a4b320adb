"""JSON Schema from the subset of OpenAPI's that Google's `Schema` is.

https://ai.google.dev/api/caching#Schema: types in capitals, `nullable`, numbers such as `minItems` as
strings, an order of properties.
"""

from typing import Any

import msgspec

from meshgate.dialects.gemini_generate.member_names import in_camel_case
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.runtime.errors import InvalidRequestError

_DEEPEST = 64
_PLAIN = frozenset(
    {"title", "description", "enum", "required", "pattern", "minimum", "maximum", "default"}
    | {"example"}
)
_COUNTS = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
_TYPES = frozenset({"STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"})


def json_schema(raw: bytes, field: str) -> bytes:
    """The same in JSON Schema.

    Raises:
        InvalidRequestError: It is no schema.
        UnsupportedError: It says what is not known here.
    """
    return msgspec.json.encode(_schema(msgspec.json.decode(raw), field, 0))


def _schema(value: Any, at: str, depth: int) -> dict[str, Any]:
    if not isinstance(value, dict) or depth > _DEEPEST:
        raise InvalidRequestError(f"'{at}' is no schema.", field=at)
    written: dict[str, Any] = {}
    is_nullable = False
    for spelled, member in value.items():
        name = in_camel_case(spelled)
        if name == "nullable":
            is_nullable = member is True
        elif name != "propertyOrdering":  # only says in which order they are written
            written |= _member(name, member, f"{at}.{name}", depth)
    return _nullable(written) if is_nullable else written


def _member(name: str, member: Any, at: str, depth: int) -> dict[str, Any]:
    if name == "type":
        return _type(member, at)
    if name == "format":
        return {} if member == "enum" else {name: member}
    if name in _COUNTS:
        return {name: _count(member, at)}
    if name in _PLAIN:
        return {"examples": [member]} if name == "example" else {name: member}
    return {name: _inner(name, member, at, depth + 1)}


def _inner(name: str, member: Any, at: str, depth: int) -> Any:
    """The schemas that stand in a member."""
    if name == "properties" and isinstance(member, dict):
        return {key: _schema(item, f"{at}.{key}", depth) for key, item in member.items()}
    if name in {"items", "additionalProperties"}:
        return member if isinstance(member, bool) else _schema(member, at, depth)
    if name == "anyOf" and isinstance(member, list):
        return [_schema(item, f"{at}[{number}]", depth) for number, item in enumerate(member)]
    raise unsupported(at)


def _type(member: Any, at: str) -> dict[str, Any]:
    if member == "TYPE_UNSPECIFIED":
        return {}
    if not isinstance(member, str) or member.upper() not in _TYPES:
        raise InvalidRequestError(f"'{at}' is no type.", field=at)
    return {"type": member.lower()}


def _count(member: Any, at: str) -> int:
    try:
        return int(member)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"'{at}' is no number.", field=at) from error


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("type"), str):
        nullable = schema | {"type": [schema["type"], "null"]}
        if isinstance(nullable.get("enum"), list):
            nullable["enum"] = [*nullable["enum"], None]
        return nullable
    if isinstance(schema.get("anyOf"), list):
        return schema | {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    return schema
