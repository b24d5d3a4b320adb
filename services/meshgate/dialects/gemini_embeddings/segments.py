"""The texts of batchEmbedContents requests."""

from collections.abc import Iterator

import msgspec

from meshgate.dialects.gemini_generate.segments import in_content
from meshgate.dialects.json_text import Found, JsonCut, Path, in_items, in_value
from meshgate.dialects.openai_api.request_body import decode

_REQUEST = msgspec.json.Decoder(dict[str, object])


def cut_request(body: bytes) -> JsonCut:
    """Take the texts out of a request.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    requests = decode(_REQUEST, body).get("requests")
    return JsonCut(body, in_items(requests, ("requests",), _in_request))


def cut_answer(body: bytes) -> JsonCut:
    """Nothing: vectors are no text."""
    return JsonCut(body, iter(()))


def blocked_answer(body: bytes) -> bytes:
    """Never asked for: what has no text is not blocked."""
    return body


def _in_request(request: object, path: Path) -> Iterator[Found]:
    if not isinstance(request, dict):
        return
    for name, value in request.items():
        if name == "content":
            yield from in_content(value, (*path, name))
        elif name == "title":
            yield from in_value(value, (*path, name))
