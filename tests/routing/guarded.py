"""A gateway with guardrails behind it, and what streams and answers are made of."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from routing.fake_guardrails import FakeGuardrails, policy
from routing.fake_quota import FakeQuota
from routing.fakes import (
    FakeAuth,
    FakeProvider,
    answer,
    chunk,
    done,
    head,
    model,
    until,
)
from routing.gateway import Ending, Gateway, credentials, ending_of, serving

from meshgate.config.snapshot import Snapshot


class Scene:
    """A gateway with all that is behind it."""

    def __init__(self) -> None:
        self.guardrails = FakeGuardrails()
        self.quota = FakeQuota()
        self.gateway: Gateway

    async def ask(self, said: str = "hi", **members: Any) -> Ending:
        body = {"model": "m", "messages": [{"role": "user", "content": said}], **members}
        call = self.gateway.openai.ChatCompletions(
            HttpBody(data=json.dumps(body).encode()), **credentials()
        )
        return await ending_of(call)

    async def record(self) -> Any:
        await until(lambda: self.quota.records)
        (record,) = self.quota.records
        return record


def snapshot(*policies: Any, **fields: Any) -> Snapshot:
    names = tuple(each.name for each in policies)
    models = (model("m", "a", guardrails=names, **fields), model("free", "a"), model("other", "b"))
    return Snapshot(
        "r1",
        models={each.name: each for each in models},
        guardrails={each.name: each for each in policies},
    )


@asynccontextmanager
async def guarded(binding: str, auth: FakeAuth, provider: FakeProvider) -> AsyncIterator[Scene]:
    """A gateway whose model `m` has one policy."""
    scene = Scene()
    async with serving(
        binding,
        snapshot(policy()),
        auth,
        provider,
        quota=scene.quota,
        guardrails=scene.guardrails,
    ) as gateway:
        scene.gateway = gateway
        yield scene


def said(text: str | None, finish: str | None = None, **delta: Any) -> bytes:
    content = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": content | delta, "logprobs": None, "finish_reason": finish}
    event = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m-1"}
    return b"data: " + json.dumps(event | {"choices": [choice]}).encode() + b"\n\n"


def completion(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    return json.dumps({"id": "c1", "model": "m-1", "choices": [choice], "usage": usage}).encode()


def reported(text: str) -> Any:
    """A plain answer with its usage."""
    response = answer(completion(text))
    response.answer.usage.input_tokens = 3
    response.answer.usage.output_tokens = 5
    return response


def streamed(*chunks: bytes) -> list[Any]:
    return [head(), *map(chunk, chunks), done()]


def data_of(ending: Ending) -> bytes:
    return b"".join(message.data for message in ending.messages)


def text_of(stream: bytes) -> str:
    events = [line.removeprefix(b"data: ") for line in stream.split(b"\n\n") if line]
    chunks = [json.loads(event) for event in events if event != b"[DONE]"]
    return "".join(
        choice["delta"].get("content") or "" for each in chunks for choice in each["choices"]
    )


def finishes(stream: bytes) -> list[str]:
    events = [line.removeprefix(b"data: ") for line in stream.split(b"\n\n") if line]
    chunks = [json.loads(event) for event in events if event != b"[DONE]"]
    words = [choice["finish_reason"] for each in chunks for choice in each["choices"]]
    return [word for word in words if word]


def error_of(ending: Ending) -> Any:
    return json.loads(ending.trailers["x-meshgate-error"])["error"]
