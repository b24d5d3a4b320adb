"""Writes embeddings answers from the neutral form."""

import base64
import sys
from array import array

import msgspec

from meshgate.dialects.neutral import EmbeddingsResponse, EncodingFormat, Usage


def write(response: EmbeddingsResponse, *, encoding_format: EncodingFormat) -> bytes:
    """Write an answer, with its vectors as the caller asked for them."""
    data = [
        {"object": "embedding", "index": index, "embedding": _embedding(vector, encoding_format)}
        for index, vector in enumerate(response.vectors)
    ]
    tokens = (response.usage or Usage()).input_tokens
    return msgspec.json.encode(
        {
            "object": "list",
            "data": data,
            "model": response.served_model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _embedding(
    vector: tuple[float, ...], encoding_format: EncodingFormat
) -> str | tuple[float, ...]:
    if encoding_format is EncodingFormat.FLOAT:
        return vector
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()  # the wire is little-endian
    return base64.b64encode(floats.tobytes()).decode("ascii")
