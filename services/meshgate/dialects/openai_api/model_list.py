"""OpenAI's list of models, and the object of one."""

from collections.abc import Iterable

import msgspec

_OWNER = "meshgate"


class _Model(msgspec.Struct):
    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = _OWNER


class _Models(msgspec.Struct):
    data: list[_Model]
    object: str = "list"


def write_models(names: Iterable[str]) -> bytes:
    """The answer to GET /v1/models."""
    return msgspec.json.encode(_Models([_Model(name) for name in names]))


def write_model(name: str) -> bytes:
    """The answer to GET /v1/models/{id}."""
    return msgspec.json.encode(_Model(name))
