"""Reads the heads of requests for speech, and what they say."""

import math
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from meshgate.dialects.answers import RequestHead
from meshgate.dialects.counting import CountableText, countable, unreadable
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api.request_body import decode, missing
from meshgate.runtime.errors import InvalidRequestError

# OpenAI's page of prices has 0.015 USD a minute at 12 USD for a million tokens; a minute of speech
# is about nine hundred characters.
_TOKENS_PER_CHARACTER = 1250 / 900


class _Request(Struct, gc=False):
    model: Annotated[str, Meta(max_length=512)]
    input: str
    instructions: str | None = None
    stream_format: str | None = None


_REQUEST = msgspec.json.Decoder(_Request)


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs. All speech is streamed; `include_usage` says that it is in events.

    Only there the upstream tells what it used. Else the characters are what was asked for, and the
    tokens of sound are estimated from them.

    Raises:
        InvalidRequestError: The body is malformed, or what was read is not as it must be.
    """
    request = decode(_REQUEST, body)
    if not request.model:
        raise missing("model")
    if not request.input:
        raise missing("input")
    characters = len(request.input)
    tokens = math.ceil(characters * _TOKENS_PER_CHARACTER)
    return RequestHead(
        request.model,
        stream=True,
        include_usage=request.stream_format == "sse",
        max_output_tokens=0,  # sound cannot be cut short: all of it is held for
        asked=Usage(input_characters=characters, output_tokens=tokens, output_audio_tokens=tokens),
    )


def countable_text(body: bytes) -> CountableText:
    """What a request says."""
    try:
        request = decode(_REQUEST, body)
    except InvalidRequestError:
        return unreadable(body)
    return countable((request.input, request.instructions or ""), 0)
