"""Writes batchEmbedContents requests from the neutral form."""

import msgspec

from meshgate.dialects.extras import read_extras
from meshgate.dialects.gemini_generate.read_request import PREFIX
from meshgate.dialects.neutral import EmbeddingsRequest
from meshgate.dialects.openai_api.request_body import unsupported

DIALECT = "gemini_embeddings"
_EXPRESSED = frozenset({"model", "requests", "content", "taskType", "outputDimensionality"})


def write(request: EmbeddingsRequest, model: str) -> bytes:
    """Write a request to `model`.

    Raises:
        InvalidRequestError: `extra_json` is not an object, or replaces what stands elsewhere.
        UnsupportedError: It is cut into tokens already, or says what Gemini does not know.
    """
    more: dict[str, object] = {}
    if request.task:
        more["taskType"] = request.task.upper()
    if request.dimensions is not None:
        more["outputDimensionality"] = request.dimensions
    more |= read_extras(
        request.extra_json,
        DIALECT,
        origin=request.extra_dialect,
        expressed=_EXPRESSED,
        refused=(),
    )
    requests = []
    for given in request.inputs:
        if not isinstance(given, str):
            raise unsupported("input")  # tokens of another model's
        content = {"parts": [{"text": given}]}
        requests.append(
            {"model": f"{PREFIX}{model.removeprefix(PREFIX)}", "content": content, **more}
        )
    return msgspec.json.encode({"requests": requests})
