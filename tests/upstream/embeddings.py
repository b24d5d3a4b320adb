"""Embeddings as OpenAI writes them; equal texts have equal vectors."""

import base64
import hashlib
import struct
from typing import Any

import msgspec

from upstream.behaviours import Behaviour, Usage
from upstream.chat import count_tokens

DIMENSIONS = 8


def embeddings(body: dict[str, Any], behaviour: Behaviour) -> bytes:
    """The answer to an embeddings request."""
    inputs = _inputs(body.get("input"))
    size = body.get("dimensions") or DIMENSIONS
    write = _base64 if body.get("encoding_format") == "base64" else list
    usage = behaviour.usage or Usage(sum(_tokens(item) for item in inputs), 0)
    answer: dict[str, Any] = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": write(vector(item, size))}
            for index, item in enumerate(inputs)
        ],
        "model": body["model"],
    }
    if behaviour.usage_sent != "never":
        tokens = usage.input_tokens
        answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}

    return msgspec.json.format(msgspec.json.encode(answer), indent=2)


def _inputs(given: Any) -> list[str | list[int]]:
    """A text, several texts, the tokens of a text, or those of several."""
    if isinstance(given, list) and not all(isinstance(item, int) for item in given):
        return given
    return [given]


def _tokens(item: str | list[int]) -> int:
    return count_tokens(item) if isinstance(item, str) else len(item)


def vector(item: str | list[int], size: int) -> list[float]:
    """The vector of one input: `size` numbers in [-1, 1) that binary32 holds exactly."""
    digest = hashlib.shake_256(str(item).encode()).digest(size)
    return [byte / 128 - 1 for byte in digest]


def _base64(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
