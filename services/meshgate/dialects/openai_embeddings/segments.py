"""The texts of embeddings requests. Inputs that are cut into tokens already are not looked at."""

from collections.abc import Iterator

import msgspec

from meshgate.dialects.json_text import Found, JsonCut, Path, in_items, in_value
from meshgate.dialects.openai_api.request_body import decode

_REQUEST = msgspec.json.Decoder(dict[str, object])


def cut_request(body: bytes) -> JsonCut:
    """Take the texts out of a request.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    inputs = decode(_REQUEST, body).get("input")
    return JsonCut(body, in_items(inputs, ("input",), _input))


def cut_answer(body: bytes) -> JsonCut:
    """Nothing: vectors are no text."""
    return JsonCut(body, iter(()))


def blocked_answer(body: bytes) -> bytes:
    """Never asked for: what has no text is not blocked."""
    return body


def _input(value: object, path: Path) -> Iterator[Found]:
    return in_value(value, path)
