"""What Gemini says, in its own words, for tests of its dialect.

The stream is the shape of one recorded from gemini-3.1-flash-lite-preview on 2026-03-10 (Vertex; ids and
texts changed), as published in a log of GeneralBots; the calls are those of the guide on thought
signatures, https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

import json
from typing import Any

SIGNATURE = "AY89a18iOcFus5wr5bW5xN6zZ4aUiCyhgmg6HE2YjtYDV/dwZ5oZlZHeTmiUKv34qq0="
END = b"\r\n\r\n"


def request(*contents: Any, model: str = "models/gemini-x", **members: Any) -> bytes:
    """A request as the edge hands it on; a text is one of the user's."""
    said = [content_of(content) for content in contents] or [content_of("hi")]
    return json.dumps({"model": model, "contents": said, **members}).encode()


def content_of(content: Any) -> Any:
    if isinstance(content, str):
        return {"role": "user", "parts": [{"text": content}]}
    return content


def model_says(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def call(name: str = "weather", args: Any = None, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args or {"city": "Paris"}, **more}}


def result(name: str = "weather", response: Any = None, **more: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": response or {"output": "sunny"}, **more}}


def answer(*parts: dict[str, Any], finish: str | None = "STOP", **members: Any) -> dict[str, Any]:
    """An answer of Gemini's, or a chunk of one."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}}
    if finish:
        candidate["finishReason"] = finish
    identity = {"modelVersion": "gemini-x-001", "responseId": "tTCwac"}
    return {"candidates": [candidate]} | members | identity


def event(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + END


def said_in(stream: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream."""
    return [
        json.loads(part.removeprefix(b"data: ")) for part in stream.split(b"\n\n") if part.strip()
    ]


RECORDED = (
    event(answer({"text": "Hello!"}, finish=None, usageMetadata={"trafficType": "ON_DEMAND"}))
    + event(answer({"text": " How can I help"}, finish=None, usageMetadata={"trafficType": "X"}))
    + event(answer({"text": "?"}, finish=None, usageMetadata={"trafficType": "ON_DEMAND"}))
    + event(
        answer(
            {"text": "", "thoughtSignature": SIGNATURE},
            usageMetadata={
                "promptTokenCount": 1,
                "candidatesTokenCount": 9,
                "totalTokenCount": 10,
                "trafficType": "ON_DEMAND",
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1}],
            },
        )
    )
)
