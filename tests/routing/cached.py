"""What the tests of cached models are made of: questions, answers, and what was said of them."""

import json
from typing import Any

import grpc
from google.api.httpbody_pb2 import HttpBody
from routing.fakes import (
    answer,
    chunk,
    done,
    head,
)

from meshgate.config.snapshot import CachePolicy
from meshgate.v1 import usage_pb2

USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
POLICY = CachePolicy(ttl_seconds=60.0)


def completion(text: str = "hello", reason: str = "stop", **message: Any) -> bytes:
    said = {"role": "assistant", "content": text} | message
    choice = {"index": 0, "message": said, "finish_reason": reason, "logprobs": None}
    return json.dumps(
        {"id": "c-1", "object": "chat.completion", "created": 9, "model": "up"}
        | {"choices": [choice], "usage": USAGE}
    ).encode()


def answered(body: bytes | None = None, **fields: Any) -> Any:
    """What provider says: the body, who answered, and what it consumed."""
    response = answer(completion(**fields) if body is None else body)
    response.answer.served_model = "up-1"
    response.answer.usage.CopyFrom(usage_pb2.Usage(input_tokens=5, output_tokens=7))
    return response


def event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    told = {"id": "c-2", "object": "chat.completion.chunk", "created": 9, "model": "up"}
    return b"data: " + json.dumps(told | {"choices": [choice]}).encode() + b"\n\n"


def streamed(*texts: str, reason: str = "stop") -> list[Any]:
    ended = done()
    ended.done.served_model = "up-1"
    ended.done.usage.CopyFrom(usage_pb2.Usage(input_tokens=5, output_tokens=7))
    return [
        head(),
        chunk(event({"role": "assistant", "content": ""})),
        *[chunk(event({"content": text})) for text in texts],
        chunk(event({}, reason) + b"data: [DONE]\n\n"),
        ended,
    ]


def asking(text: str = "hi", **members: Any) -> HttpBody:
    asked = {"model": "m", "messages": [{"role": "user", "content": text}]} | members
    return HttpBody(data=json.dumps(asked).encode())


def said(ending: Any) -> bytes:
    assert ending.code is grpc.StatusCode.OK, ending
    return b"".join(message.data for message in ending.messages)


def word(ending: Any) -> str | None:
    return ending.headers.get("x-meshgate-cache")
