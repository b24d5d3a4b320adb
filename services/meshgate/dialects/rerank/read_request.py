"""Reads the heads of rerank requests, and what they say."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.counting import IMAGE_TOKENS, Countable, CountableText, countable, unreadable
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api.request_body import decode, missing
from meshgate.runtime.errors import InvalidRequestError

_DOCUMENTS_PER_UNIT = 100


class _Head(Struct, gc=False):
    model: Annotated[str, Meta(max_length=512)]
    query: Raw
    documents: list[Raw]


class _Request(Struct):
    query: Any = None
    documents: list[Any] = []


_HEAD = msgspec.json.Decoder(_Head)
_REQUEST = msgspec.json.Decoder(_Request)


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs.

    Raises:
        InvalidRequestError: The body is malformed, or what was read is not as it must be.
    """
    head = decode(_HEAD, body)
    if not head.model:
        raise missing("model")
    if not head.documents:
        raise missing("documents")
    # A long document counts as several; what the upstream says is what is booked.
    units = -(-len(head.documents) // _DOCUMENTS_PER_UNIT)
    return RequestHead(head.model, max_output_tokens=0, asked=Usage(search_units=units))


def countable_text(body: bytes) -> CountableText:
    """What a request says."""
    try:
        request = decode(_REQUEST, body)
    except InvalidRequestError:
        return unreadable(body)
    return countable(_said([request.query, *request.documents]), 0)


def _said(items: list[Any]) -> Iterator[Countable]:
    for item in items:
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            texts = [value for value in item.values() if isinstance(value, str)]
            yield from texts
            if not texts:
                yield IMAGE_TOKENS
