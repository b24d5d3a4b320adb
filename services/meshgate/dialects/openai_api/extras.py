"""`extra_json`: members of a request that the neutral form does not know and only passes on."""

from collections.abc import Container

import msgspec
from msgspec import Raw

from meshgate.dialects.openai_api.request_body import decode, unsupported
from meshgate.runtime.errors import InvalidRequestError

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def read_extras(
    extra_json: bytes, *, expressed: Container[str], refused: Container[str]
) -> dict[str, Raw]:
    """Return the extra members of a request.

    Raises:
        InvalidRequestError: They are not a JSON object, or one of them would replace what the
            request says elsewhere, such as its model.
        UnsupportedError: One of them asks for an answer that cannot be translated back.
    """
    if not extra_json:
        return {}
    members = decode(_MEMBERS, extra_json)
    for name in members:
        if name in refused:
            raise unsupported(f"extra_json.{name}")
        if name in expressed:
            raise InvalidRequestError(
                f"'{name}' has a field of its own and may not stand in extra_json.",
                field=f"extra_json.{name}",
                name=name,
            )
    return members
