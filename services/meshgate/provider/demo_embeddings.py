"""The demo provider's vectors: made from a hash, of length 1, and without any meaning."""

import hashlib
import math

from meshgate.dialects.neutral import EmbeddingsRequest, EmbeddingsResponse, Usage
from meshgate.provider.demo_chat import rough_tokens
from meshgate.runtime.errors import InvalidRequestError

DEFAULT_DIMENSIONS = 64
MAXIMUM_DIMENSIONS = 4096
MAXIMUM_INPUTS = 2048


def embed(request: EmbeddingsRequest, model: str) -> EmbeddingsResponse:
    """One vector for each input; equal inputs have equal vectors.

    Raises:
        InvalidRequestError: More is asked for than the demo provider makes.
    """
    dimensions = request.dimensions or DEFAULT_DIMENSIONS
    _check("dimensions", dimensions, MAXIMUM_DIMENSIONS)
    _check("input", len(request.inputs), MAXIMUM_INPUTS)
    return EmbeddingsResponse(
        served_model=model,
        vectors=tuple(_vector(item, dimensions) for item in request.inputs),
        usage=Usage(input_tokens=sum(_tokens(item) for item in request.inputs)),
    )


def _vector(item: str | tuple[int, ...], dimensions: int) -> tuple[float, ...]:
    seed = str(item).encode(errors="replace")
    # No byte becomes 0, so that every vector has a length.
    values = [byte - 127.5 for byte in hashlib.shake_256(seed).digest(dimensions)]
    length = math.sqrt(sum(value * value for value in values))
    return tuple(value / length for value in values)


def _tokens(item: str | tuple[int, ...]) -> int:
    return rough_tokens(item) if isinstance(item, str) else len(item)


def _check(field: str, count: int, limit: int) -> None:
    if count > limit:
        raise InvalidRequestError(
            f"the demo provider takes {limit} {field} at most, not {count}",
            field=field,
            limit=str(limit),
            count=str(count),
        )
