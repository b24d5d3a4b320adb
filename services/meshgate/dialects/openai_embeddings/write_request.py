"""Writes embeddings requests from the neutral form."""

import msgspec

from meshgate.dialects.extras import read_extras
from meshgate.dialects.neutral import EmbeddingsRequest
from meshgate.dialects.openai_embeddings.fields import EXPRESSED


def write(request: EmbeddingsRequest, model: str) -> bytes:
    """Write a request to `model`.

    Raises:
        InvalidRequestError: `extra_json` is not an object, or replaces what stands elsewhere.
    """
    members: dict[str, object] = {
        "model": model,
        "input": request.inputs,
        "encoding_format": request.encoding_format.value,
    }
    if request.dimensions is not None:
        members["dimensions"] = request.dimensions
    members |= read_extras(request.extra_json, "openai_embeddings", expressed=EXPRESSED, refused=())
    return msgspec.json.encode(members)
