"""`data:` URIs, by which OpenAI's JSON carries pictures and documents."""

import base64
import binascii
import re

from msgspec import Struct

from meshgate.runtime.errors import InvalidRequestError

_DATA_URI = re.compile(r"data:(?P<media_type>[^;,]+);base64,")


class EmbeddedData(Struct, frozen=True):
    """What a `data:` URI holds."""

    data: bytes
    media_type: str


def read(uri: str, field: str) -> EmbeddedData | None:
    """Return what is in a base64 `data:` URI; None if it is another kind of URI.

    Raises:
        InvalidRequestError: The base64 is broken; names `field`.
    """
    found = _DATA_URI.match(uri)
    if found is None:
        return None
    return EmbeddedData(decode(uri[found.end() :], field), found["media_type"])


def write(data: bytes, media_type: str) -> str:
    """Write a base64 `data:` URI."""
    return f"data:{media_type};base64,{encode(data)}"


def decode(text: str, field: str) -> bytes:
    """Decode base64.

    Raises:
        InvalidRequestError: It is broken, or empty; names `field`.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError(f"Invalid base64 in '{field}'.", field=field) from error
    if not data:
        raise InvalidRequestError(f"There is no data in '{field}'.", field=field)
    return data


def encode(data: bytes) -> str:
    """Encode as base64."""
    return base64.b64encode(data).decode("ascii")
