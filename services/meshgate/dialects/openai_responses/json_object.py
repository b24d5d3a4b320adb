"""Members of a request that must be JSON objects, and are passed on as they are."""

from msgspec import Raw

from meshgate.runtime.errors import InvalidRequestError


def object_bytes(raw: Raw, field: str) -> bytes:
    """The bytes of a JSON object; empty where there is none.

    Raises:
        InvalidRequestError: It is something else; names `field`.
    """
    data = bytes(raw)
    if not data or data == b"null":
        return b""
    if not data.startswith(b"{"):
        raise InvalidRequestError(f"Invalid type for '{field}': expected an object.", field=field)
    return data
