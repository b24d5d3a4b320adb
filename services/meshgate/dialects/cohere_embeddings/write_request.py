"""Writes Cohere embeddings requests from the neutral form: https://docs.cohere.com/reference/embed."""

import msgspec

from meshgate.dialects.extras import read_extras
from meshgate.dialects.neutral import EmbeddingsRequest
from meshgate.dialects.openai_api.request_body import unsupported

NAME = "cohere_embeddings"

_EXPRESSED = frozenset({"model", "texts", "embedding_types", "output_dimension"})
_INEXPRESSIBLE = frozenset({"images", "inputs"})
# What applications add to requests in OpenAI's format, where they know who answers.
_SHARED = frozenset({"input_type", "truncate", "user"})
_DEFAULT_KIND = "search_document"
_KINDS = {
    "": _DEFAULT_KIND,
    "retrieval_document": "search_document",
    "retrieval_query": "search_query",
    "classification": "classification",
    "clustering": "clustering",
}


def write(request: EmbeddingsRequest, model: str) -> bytes:
    """Write a request to `model`.

    What the vectors are for, which Cohere must know, is the request's task, or `input_type` among the
    extras; without them they are taken to be of documents that are searched. `user` is left out: the
    API has no place for it, and it changes no vector.

    Raises:
        InvalidRequestError: `extra_json` is not an object, or replaces what stands elsewhere.
        UnsupportedError: The inputs are cut into tokens, which only their own model knows, or Cohere
            makes no vectors for the task.
    """
    texts = [it for it in request.inputs if isinstance(it, str)]
    if len(texts) != len(request.inputs):
        raise unsupported("input")
    kind = _KINDS.get(request.task)
    if kind is None:
        raise unsupported("task")
    members: dict[str, object] = {
        "model": model,
        "texts": texts,
        "input_type": kind,
        "embedding_types": ["float"],
    }
    if request.dimensions is not None:
        members["output_dimension"] = request.dimensions
    extras = read_extras(
        request.extra_json,
        NAME,
        origin=request.extra_dialect,
        expressed=_EXPRESSED,
        refused=_INEXPRESSIBLE,
        shared=_SHARED,
    )
    if request.extra_dialect not in ("", NAME):
        extras.pop("user", None)
    return msgspec.json.encode(members | extras)
