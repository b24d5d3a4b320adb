"""Texts that guardrails look for, and where none of them may ever stand."""

import asyncio
import json
from typing import Any

import httpx
import redis
from collector import Collector
from gateway_process import Gateway
from google.protobuf.json_format import MessageToJson
from mesh.books import records

from meshgate.v1 import usage_record_pb2 as pb

BOUND_SECONDS = 30
CHAT = "/v1/chat/completions"
EMAIL = "john.doe@example.com"
CARD = "4111111111111111"
SECRET = "sk-proj-abcDEF1234567890abcdefXYZ"
PROMPT = "quetzalcoatlus"
"""A word of prompts that stands nowhere else."""


def asking(text: str, model: str = "guarded", **members: Any) -> dict[str, Any]:
    content = f"{PROMPT}: {text}"
    return {"model": model, "messages": [{"role": "user", "content": content}], **members}


def named(request_id: str) -> dict[str, str]:
    return {"x-request-id": request_id}


def content(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def told(stream: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream that is whole."""
    assert stream.status_code == 200, stream.text
    data = [line[6:] for line in stream.text.splitlines() if line.startswith("data: ")]
    assert data[-1] == "[DONE]"
    return [json.loads(each) for each in data[:-1]]


def said(stream: httpx.Response) -> tuple[str, str | None]:
    """The text of a stream, and how it ended."""
    choices = [choice for event in told(stream) for choice in event["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return text, choices[-1]["finish_reason"]


async def booked(gateway: Gateway, request_id: str) -> pb.UsageRecord:
    """The one record of a request, once it is there."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not (mine := [r for r in records(gateway) if r.request_id == request_id]):
            await asyncio.sleep(0.05)
    [record] = mine
    return record


async def traced(collector: Collector, request_id: str) -> dict[str, Any]:
    """What the trace says of a request, once it has been exported."""
    async with asyncio.timeout(BOUND_SECONDS):
        while True:
            for span in collector.spans:
                asked = span.attributes.get("meshgate.request.id") == request_id
                if asked and span.service == "meshgate-routing":
                    return span.attributes
            await asyncio.sleep(0.05)


def written_about(gateway: Gateway) -> str:
    """All that the gateway has logged and booked."""
    books = [MessageToJson(record) for record in records(gateway)]
    return "\n".join([gateway.logs(), *books])


def kept(gateway: Gateway) -> bytes:
    """All that lies in the cache."""
    ready = json.loads((gateway.directory / "ready.json").read_text())
    with redis.Redis.from_url(ready["cache_redis_url"]) as client:
        return b"".join(client.get(key) or b"" for key in client.scan_iter())
