"""What the tests of costs are made of: models with prices, and answers that consume."""

import json
from typing import Any

from routing.fakes import answer, failing, model, snapshot

from meshgate.config.snapshot import CachePolicy, Target
from meshgate.pricing.prices import Prices
from meshgate.v1 import usage_pb2

PRICES = Prices(150_000_000, 75_000_000, 150_000_000, 600_000_000)
"""0.15 and 0.60 USD a million: 150 and 600 nano-dollars a token."""
FREE = Prices(0, 0, 0, 0)
USAGE = usage_pb2.Usage(input_tokens=5, output_tokens=7)
COST_NANOS = 5 * 150 + 7 * 600
COST_USD = "0.00000495"


def priced(provider: str, prices: Prices | None = PRICES) -> Target:
    return Target(provider, f"m-at-{provider}", prices=prices)


MODELS = snapshot(
    model("m", targets=(priced("a"), priced("b")), fallbacks=("dear",)),
    model("dear", targets=(priced("c", Prices(*[10_000_000_000] * 4)),)),
    model("mixed", targets=(priced("a", None), priced("b"))),
    model("unpriced", targets=(priced("a", None),)),
    model("free", targets=(priced("a", FREE),)),
    model("cached", targets=(priced("a"),), cache=CachePolicy(ttl_seconds=60.0)),
)


def used(body: bytes, usage: usage_pb2.Usage | None = USAGE) -> Any:
    """A plain answer that consumed so much."""
    response = answer(body)
    if usage is not None:
        response.answer.usage.CopyFrom(usage)
    return response


def failed(usage: usage_pb2.Usage | None = None) -> Any:
    """An attempt that came to nothing, and consumed so much all the same."""
    response = failing("server_error")
    if usage is not None:
        response.failure.usage.CopyFrom(usage)
    return response


def completion(text: str = "hello world") -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    told = {"id": "c-1", "object": "chat.completion", "created": 9, "model": "up"}
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    return json.dumps(told | {"choices": [choice], "usage": usage}).encode()
