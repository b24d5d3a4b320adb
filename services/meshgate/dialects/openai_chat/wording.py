"""Requests in the words of an upstream that has other ones than OpenAI for the same."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Raw

from meshgate.dialects.openai_api.output_bound import OutputBound
from meshgate.dialects.openai_chat.variant import Variant

V = TypeVar("V")

_BOUNDS = {bound.value for bound in OutputBound}
_OPTIONS = "stream_options"


def reworded(members: dict[str, V], variant: Variant) -> dict[str, V]:
    """The members of a request, in their order, as the upstream names them."""
    if not variant.changes_names:
        return members
    return {
        _name(name, members, variant): _value(name, value, variant)
        for name, value in members.items()
        if variant.asks_usage or name != _OPTIONS
    }


def _name(name: str, members: Mapping[str, object], variant: Variant) -> str:
    if variant.only_bound and name in _BOUNDS and variant.output_bound.value not in members:
        return variant.output_bound.value
    return variant.renamed.get(name, name)


def _value(name: str, value: V, variant: Variant) -> V:
    words = variant.words.get(name)
    if words is None:
        return value
    if isinstance(value, Raw):
        said = msgspec.json.decode(value)
        if isinstance(said, str) and said in words:
            return Raw(msgspec.json.encode(words[said]))  # type: ignore[return-value]
        return value
    return words.get(value, value) if isinstance(value, str) else value  # type: ignore[return-value]
