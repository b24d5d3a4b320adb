"""The members of OpenAI's family, as their files in `members/` describe them.

The name of a file is the kind of provider. To add one is to add a file: see docs/providers.md.
"""

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from meshgate.dialects.openai_chat.variant import Variant

Service: TypeAlias = Literal["chat", "completions", "embeddings", "responses"]
"""What a member may answer, by the paths of OpenAI's API."""

_Text = Annotated[str, Meta(min_length=1)]


class Fact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that is so, and who says it."""

    says: _Text
    source: _Text


class Member(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider whose API is OpenAI's, but for what stands here.

    Attributes:
        name: What it calls itself.
        base_url: Where it is, with the API's version, without a slash at its end.
        answers: What it answers.
        key_variable: The environment variable that usually holds its key; empty for a server of one's
            own, which wants a key only if it was started with one.
        vendor: Its name in the table of prices; empty where it is not in it.
        chat: How its chat completions differ.
        facts: Where all this is from.
    """

    name: _Text
    base_url: Annotated[str, Meta(pattern="^https?://.*[^/]$")]
    answers: Annotated[tuple[Service, ...], Meta(min_length=1)]
    facts: Annotated[tuple[Fact, ...], Meta(min_length=1)]
    key_variable: str = ""
    vendor: str = ""
    chat: Variant = Variant()


def read(text: str) -> Member:
    """Read a member's file, which is TOML.

    Raises:
        msgspec.ValidationError: It holds something else than it may.
        msgspec.DecodeError: It is no TOML.
    """
    return msgspec.toml.decode(text, type=Member)


def _read_all() -> Mapping[str, Member]:
    directory = files("meshgate.config.openai_family") / "members"
    members = {
        file.name.removesuffix(".toml"): read(file.read_text(encoding="utf-8"))
        for file in directory.iterdir()
        if file.name.endswith(".toml")
    }
    return MappingProxyType(dict(sorted(members.items())))


MEMBERS = _read_all()
"""By the kind of provider that each of them is."""
