"""`extra_json`: members of a request that the neutral form does not know and only passes on."""

from collections.abc import Container

import msgspec
from msgspec import Raw

from meshgate.dialects.openai_api.request_body import decode, unsupported
from meshgate.runtime.errors import InvalidRequestError

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
# They help the provider they were written for, and change no answer.
_HINTS = frozenset({"prompt_cache_key", "prompt_cache_retention", "safety_identifier", "user"})
_NOTHING = (b"null", b"false", b"{}", b"[]")


def read_extras(
    extra_json: bytes,
    dialect: str,
    *,
    origin: str = "",
    expressed: Container[str],
    refused: Container[str],
    shared: Container[str] = (),
) -> dict[str, Raw]:
    """Return the extra members of a request for an upstream that speaks `dialect`.

    Args:
        extra_json: The members.
        dialect: What the upstream speaks.
        origin: In whose terms they are; empty for the upstream's.
        expressed: Members of that dialect which the neutral form has.
        refused: Those that ask for an answer which cannot be translated back.
        shared: Those that the dialect in whose terms the members are has too, with the same meaning.

    Raises:
        InvalidRequestError: They are not a JSON object, or one of them would replace what the
            request says elsewhere, such as its model.
        UnsupportedError: One of them means nothing to the upstream, or asks for an answer that
            cannot be translated back.
    """
    if not extra_json:
        return {}
    members = decode(_MEMBERS, extra_json)
    if origin not in ("", dialect):
        return _understood(members, shared)
    for name in members:
        # Servers written in Go read names without regard to case.
        if name in refused or name.casefold() in refused:
            raise unsupported(f"extra_json.{name}")
        if name in expressed or name.casefold() in expressed:
            raise InvalidRequestError(
                f"'{name}' has a field of its own and may not stand in extra_json.",
                field=f"extra_json.{name}",
                name=name,
            )
    return members


def _understood(members: dict[str, Raw], shared: Container[str]) -> dict[str, Raw]:
    """What an upstream of another dialect understands of members; hints and nothings are left out."""
    for name, value in members.items():
        if name not in shared and name not in _HINTS and bytes(value) not in _NOTHING:
            raise unsupported(name)
    return {name: value for name, value in members.items() if name in shared}
