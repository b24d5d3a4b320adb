"""The texts of requests that are members of one object: speech, moderations, rankings."""

from collections.abc import Iterator

import msgspec

from meshgate.dialects.json_text import Found, JsonCut, Path, in_items, in_members, in_value
from meshgate.dialects.openai_api.request_body import decode

_REQUEST = msgspec.json.Decoder(dict[str, object])
# Words of the APIs' own.
_WORDS = frozenset(
    {"model", "voice", "response_format", "stream_format", "speed", "top_n", "top_k", "truncation"}
    | {"return_documents", "max_tokens_per_doc", "rank_fields", "input_type", "priority"}
)


def cut_request(body: bytes) -> JsonCut:
    """Take the texts out of a request.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    readers = {"input": _items, "documents": _items}
    return JsonCut(body, in_members(decode(_REQUEST, body), (), _WORDS, readers))


def _items(value: object, path: Path) -> Iterator[Found]:
    return in_items(value, path, _item)


def _item(value: object, path: Path) -> Iterator[Found]:
    if isinstance(value, dict):
        return in_members(value, path, {"type", "image_url"}, {})
    return in_value(value, path)
