"""Reads the heads of moderations, and what they say."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.counting import IMAGE_TOKENS, Countable, CountableText, countable, unreadable
from meshgate.dialects.openai_api.request_body import decode, missing
from meshgate.runtime.errors import InvalidRequestError

USUAL_MODEL = "omni-moderation-latest"
"""What OpenAI takes where no model is named."""


class _Head(Struct, gc=False):
    model: Annotated[str, Meta(max_length=512)] | None = None
    input: Raw = Raw()


_HEAD = msgspec.json.Decoder(_Head)


class _Request(Struct):
    input: Any = None


_REQUEST = msgspec.json.Decoder(_Request)


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs.

    Raises:
        InvalidRequestError: The body is malformed, or what was read is not as it must be.
    """
    head = decode(_HEAD, body)
    if not bytes(head.input):
        raise missing("input")
    if not bytes(head.input).startswith((b'"', b"[")):
        raise InvalidRequestError(
            "Invalid type for 'input': expected a string or an array.", field="input"
        )
    return RequestHead(head.model or USUAL_MODEL, max_output_tokens=0)


def countable_text(body: bytes) -> CountableText:
    """What a request says."""
    try:
        return countable(_said(decode(_REQUEST, body).input), 0)
    except InvalidRequestError:
        return unreadable(body)


def _said(given: object) -> Iterator[Countable]:
    for item in given if isinstance(given, list) else [given]:
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            text = item.get("text")
            yield text if isinstance(text, str) else IMAGE_TOKENS
