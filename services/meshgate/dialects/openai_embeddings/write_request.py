"""Writes embeddings requests from the neutral form."""

import msgspec

from meshgate.dialects.extras import read_extras
from meshgate.dialects.neutral import EmbeddingsRequest
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.dialects.openai_embeddings.fields import EXPRESSED


def write(request: EmbeddingsRequest, model: str) -> bytes:
    """Write a request to `model`.

    Raises:
        InvalidRequestError: `extra_json` is not an object, or replaces what stands elsewhere.
        UnsupportedError: It says what the vectors are for, or what OpenAI's API does not know.
    """
    if request.task:
        raise unsupported("task")
    members: dict[str, object] = {
        "model": model,
        "input": request.inputs,
        "encoding_format": request.encoding_format.value,
    }
    if request.dimensions is not None:
        members["dimensions"] = request.dimensions
    members |= read_extras(
        request.extra_json,
        "openai_embeddings",
        origin=request.extra_dialect,
        expressed=EXPRESSED,
        refused=(),
    )
    return msgspec.json.encode(members)
