"""Reads the heads of requests for pictures."""

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from meshgate.dialects import uploaded_form
from meshgate.dialects.answers import RequestHead
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api.request_body import decode, missing

_MOST_IMAGES = 128
# By quality, for a square picture and for others: developers.openai.com/api/docs/guides/image-generation.
_TOKENS = {"low": (272, 408), "medium": (1056, 1584), "high": (4160, 6240)}
# gpt-image-2 takes more, and any size: parts of the longer side, by quality, which grow with the area.
# community.openai.com/t/1382699; OpenAI's calculator says the same 7,024, 5,488 and 12,329 for high.
_PARTS = {"low": 16, "medium": 48, "high": 96}
_AREA_BEFORE, _AREA_OF_A_TOKEN = 2_000_000, 4_000_000
_LONGEST_SIDE = 3840
_SIDES = re.compile(r"(\d{2,5})x(\d{2,5})", re.ASCII)
# What a picture that is brought takes at most, `input_fidelity` and its shape being what they are: 6,240,
# two tiles of 129 and 65. Where the fidelity is low, the first is not taken.
_BROUGHT_TOKENS, _BROUGHT_ROUGHLY_TOKENS = 6563, 323
_SQUARE = "1024x1024"
_WORD = 32

_Word = Annotated[str, Meta(max_length=512)]


class _Head(Struct, gc=False):
    model: _Word
    prompt: str = ""
    n: Annotated[int, Meta(ge=1, le=_MOST_IMAGES)] | None = None
    quality: _Word | None = None
    size: _Word | None = None
    stream: bool | None = None


_HEAD = msgspec.json.Decoder(_Head)


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs of a request for pictures.

    Raises:
        InvalidRequestError: The body is malformed, or what was read is not as it must be.
    """
    head = decode(_HEAD, body)
    if not head.prompt:
        raise missing("prompt")
    return _head(head)


def read_form_head(body: bytes) -> RequestHead:
    """Read what routing needs of a form that asks for an edit.

    Raises:
        InvalidRequestError: It is not as it must be.
    """
    form = uploaded_form.read(body)
    if not form.files:
        raise missing("image")
    fields: Mapping[str, str] = form.values
    is_rough = fields.get("input_fidelity", "").strip().lower() == "low"
    brought = len(form.files) * (_BROUGHT_ROUGHLY_TOKENS if is_rough else _BROUGHT_TOKENS)
    return _head(
        _Head(
            model=form.model,
            n=uploaded_form.whole_number(fields, "n", most=_MOST_IMAGES),
            quality=fields.get("quality"),
            size=fields.get("size"),
            stream=uploaded_form.flag(fields, "stream"),
        ),
        brought,
    )


def _head(head: _Head, brought_tokens: int = 0) -> RequestHead:
    if not head.model:
        raise missing("model")
    count = head.n or 1
    quality, size = _word(head.quality, "standard"), _word(head.size, _SQUARE)
    tokens = count * _tokens(quality, size)
    return RequestHead(
        head.model,
        stream=bool(head.stream),
        include_usage=True,  # it is always told
        max_output_tokens=0,  # pictures cannot be cut short: all of them are held for
        service_tier=f"{quality}-{size}",
        asked=Usage(
            images=count,
            input_tokens=brought_tokens,
            input_image_tokens=brought_tokens,
            output_tokens=tokens,
            output_image_tokens=tokens,
        ),
    )


def _word(given: str | None, usual: str) -> str:
    word = (given or "").strip().lower()[:_WORD]
    return usual if word in {"", "auto"} else word


def _tokens(quality: str, size: str) -> int:
    """What a picture takes; the most there is, where its quality is not known."""
    quality = quality if quality in _TOKENS else "high"
    square, other = _TOKENS[quality]
    return max(square if size == _SQUARE else other, _by_area(_PARTS[quality], size))


def _by_area(parts: int, size: str) -> int:
    """What a picture of some size takes of gpt-image-2; a square one, where the size is open."""
    sides = _SIDES.fullmatch(size)
    told = sides.groups() if sides else _SQUARE.split("x")
    short, long = sorted(max(1, min(int(side), _LONGEST_SIDE)) for side in told)
    across = (2 * parts * short + long) // (2 * long)  # rounded
    return -(-parts * across * (_AREA_BEFORE + short * long) // _AREA_OF_A_TOKEN)
