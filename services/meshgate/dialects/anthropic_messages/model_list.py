"""Anthropic's list of models, and the object of one: https://platform.claude.com/docs/en/api/models-list."""

from collections.abc import Iterable

import msgspec

# The gateway does not know when a model was released; Anthropic's documentation has this for such.
_UNKNOWN_TIME = "1970-01-01T00:00:00Z"


class _Model(msgspec.Struct):
    id: str
    display_name: str
    type: str = "model"
    created_at: str = _UNKNOWN_TIME


class _Models(msgspec.Struct):
    data: list[_Model]
    first_id: str | None
    last_id: str | None
    has_more: bool = False


def write_models(names: Iterable[str]) -> bytes:
    """The answer to GET /v1/models: one page of all of them."""
    models = [_model(name) for name in names]
    first, last = (models[0].id, models[-1].id) if models else (None, None)
    return msgspec.json.encode(_Models(models, first, last))


def write_model(name: str) -> bytes:
    """The answer to GET /v1/models/{id}."""
    return msgspec.json.encode(_model(name))


def _model(name: str) -> _Model:
    return _Model(name, name)
