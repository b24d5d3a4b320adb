"""The model's name, put into a body: in Google's HTTP API it stands in the URL only."""

import msgspec
from msgspec import Raw

from meshgate.dialects.gemini_generate.read_request import PREFIX
from meshgate.dialects.openai_api.request_body import decode
from meshgate.runtime.errors import InvalidRequestError

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_STRING = msgspec.json.Decoder(str | None)


def named(body: bytes, model: str) -> bytes:
    """The body with `model` as its first member; all others keep their bytes and their order.

    Args:
        body: As it came.
        model: As it stands in the path, `models/NAME`.

    Raises:
        InvalidRequestError: It is no JSON object, or names another model.
    """
    members = decode(_MEMBERS, body)
    given = members.pop("model", None)
    if given is not None and _plain(decode(_STRING, bytes(given))) not in {None, _plain(model)}:
        raise InvalidRequestError("'model' is not the model of the URL.", field="model")
    return msgspec.json.encode({"model": model, **members})


def _plain(name: str | None) -> str | None:
    return None if name is None else name.removeprefix(PREFIX)
