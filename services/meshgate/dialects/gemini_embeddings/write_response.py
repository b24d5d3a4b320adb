"""Writes batchEmbedContents answers from the neutral form."""

import msgspec

from meshgate.dialects.neutral import EmbeddingsResponse


def write(response: EmbeddingsResponse) -> bytes:
    """Write an answer."""
    members: dict[str, object] = {"embeddings": [{"values": vector} for vector in response.vectors]}
    if response.usage is not None:
        members["usageMetadata"] = {"promptTokenCount": response.usage.input_tokens}
    return msgspec.json.encode(members)
