"""Cohere's chat as the fake cloud speaks it, plain and streamed."""

import json
from typing import Any

from upstream.behaviours import DEFAULT_TEXT
from upstream.chat import pieces

Body = dict[str, Any]
USAGE = {
    "billed_units": {"input_tokens": 5, "output_tokens": 9},
    "tokens": {"input_tokens": 71, "output_tokens": 11},
}


def whole(_body: Body) -> bytes:
    """A plain answer."""
    message = {"role": "assistant", "content": [{"type": "text", "text": DEFAULT_TEXT}]}
    answer = {"id": "cohere-1", "finish_reason": "COMPLETE", "message": message, "usage": USAGE}
    return json.dumps(answer).encode()


def streamed(_body: Body) -> list[bytes]:
    """The events of a stream that says the same."""
    opening = {"content": {"type": "text", "text": ""}}
    return [
        _event("message-start", {"role": "assistant"}, id="cohere-1"),
        _event("content-start", opening, index=0),
        *(
            _event("content-delta", {"content": {"text": piece}}, index=0)
            for piece in pieces(DEFAULT_TEXT, 4)
        ),
        _event("content-end", index=0),
        _event("message-end", delta={"finish_reason": "COMPLETE", "usage": USAGE}),
        b"data: [DONE]\n\n",
    ]


def _event(kind: str, message: Body | None = None, **members: Any) -> bytes:
    if message is not None:
        members["delta"] = {"message": message}
    data = json.dumps({"type": kind, **members}).encode()
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def ranking(body: Body) -> bytes:
    """A ranking of the documents in the order in which they came."""
    results = [
        {"index": number, "relevance_score": round(1 / (number + 1), 3)}
        for number in range(len(body["documents"]))
    ]
    billed = {"search_units": 1}
    ranked = {"id": "rank-1", "results": results, "meta": {"billed_units": billed}}
    return json.dumps(ranked).encode()
