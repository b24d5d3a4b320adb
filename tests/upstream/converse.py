"""Bedrock's Converse as the fake cloud speaks it, plain and streamed."""

import json
from typing import Any

from upstream.behaviours import DEFAULT_TEXT
from upstream.chat import pieces
from upstream.event_stream import event

Body = dict[str, Any]
USAGE = {
    "inputTokens": 12,
    "outputTokens": 9,
    "totalTokens": 26,
    "cacheReadInputTokens": 3,
    "cacheWriteInputTokens": 2,
}
ARGUMENTS = {"city": "Paris"}


def whole(body: Body) -> bytes:
    """A plain answer: a call of the first tool, if there is one, or else a text."""
    name = _tool(body)
    said = {"toolUse": {"toolUseId": "tooluse_1", "name": name, "input": ARGUMENTS}}
    return json.dumps(
        {
            "output": {
                "message": {
                    "role": "assistant",
                    "content": [said if name else {"text": DEFAULT_TEXT}],
                }
            },
            "stopReason": "tool_use" if name else "end_turn",
            "usage": USAGE,
            "metrics": {"latencyMs": 100},
        }
    ).encode()


def streamed(body: Body) -> list[bytes]:
    """The messages of a stream that says the same."""
    name = _tool(body)
    events = [event("messageStart", role="assistant")]
    if name:
        start = {"toolUse": {"toolUseId": "tooluse_1", "name": name}}
        events.append(event("contentBlockStart", start=start, contentBlockIndex=0))
        deltas = [{"toolUse": {"input": it}} for it in pieces(json.dumps(ARGUMENTS), 2)]
    else:
        deltas = [{"text": it} for it in pieces(DEFAULT_TEXT, 4)]
    events += [event("contentBlockDelta", delta=delta, contentBlockIndex=0) for delta in deltas]
    return [
        *events,
        event("contentBlockStop", contentBlockIndex=0),
        event("messageStop", stopReason="tool_use" if name else "end_turn"),
        event("metadata", usage=USAGE, metrics={"latencyMs": 100}),
    ]


def _tool(body: Body) -> str:
    tools = body.get("toolConfig", {}).get("tools", [])
    return tools[0]["toolSpec"]["name"] if tools else ""
