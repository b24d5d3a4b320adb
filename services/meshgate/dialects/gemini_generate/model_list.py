"""Google's list of models, and the object of one: https://ai.google.dev/api/models."""

from collections.abc import Iterable

import msgspec

from meshgate.dialects.gemini_generate.read_request import PREFIX

_METHODS = ("generateContent", "streamGenerateContent", "countTokens", "embedContent")


class _Model(msgspec.Struct, rename="camel"):
    name: str
    display_name: str
    supported_generation_methods: tuple[str, ...] = _METHODS


class _Models(msgspec.Struct):
    models: list[_Model]


def write_models(names: Iterable[str]) -> bytes:
    """The answer to GET /v1beta/models."""
    return msgspec.json.encode(_Models([_model(name) for name in names]))


def write_model(name: str) -> bytes:
    """The answer to GET /v1beta/models/{model}."""
    return msgspec.json.encode(_model(name))


def _model(name: str) -> _Model:
    return _Model(f"{PREFIX}{name}", name)
