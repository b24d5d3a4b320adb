"""Writes Cohere embeddings requests from the neutral form: https://docs.cohere.com/reference/embed."""

import msgspec

from meshgate.dialects.extras import read_extras
from meshgate.dialects.neutral import EmbeddingsRequest
from meshgate.dialects.openai_api.request_body import unsupported

EXPRESSED = frozenset({"model", "texts", "embedding_types", "output_dimension"})
_INEXPRESSIBLE = frozenset({"images", "inputs"})
_DEFAULT_KIND = "search_document"


def write(request: EmbeddingsRequest, model: str) -> bytes:
    """Write a request to `model`.

    What the vectors are for, which Cohere must know, is `input_type` among the extras; without it they
    are taken to be of documents that are searched.

    Raises:
        InvalidRequestError: `extra_json` is not an object, or replaces what stands elsewhere.
        UnsupportedError: The inputs are cut into tokens, which only their own model knows.
    """
    texts = [it for it in request.inputs if isinstance(it, str)]
    if len(texts) != len(request.inputs):
        raise unsupported("input")
    members: dict[str, object] = {
        "model": model,
        "texts": texts,
        "input_type": _DEFAULT_KIND,
        "embedding_types": ["float"],
    }
    if request.dimensions is not None:
        members["output_dimension"] = request.dimensions
    members |= read_extras(
        request.extra_json, "cohere_embeddings", expressed=EXPRESSED, refused=_INEXPRESSIBLE
    )
    return msgspec.json.encode(members)
