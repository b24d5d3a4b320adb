"""A checker that masks one word, and holds text back like one that knows longer words."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from meshgate.dialects.openai_choices.chunks import DONE
from meshgate.v1 import chat_pb2

SECRET = "hunter2"
MASK = "[SECRET]"


def masked(text: str) -> str:
    return text.replace(SECRET, MASK)


class Checker:
    """Releases late: what may become the secret, and `delay` more characters, stay until the last."""

    def __init__(self, delay: int = 0) -> None:
        self._delay = delay
        self._held: dict[str, str] = defaultdict(str)
        self.kinds: dict[str, Any] = {}
        self.ended: set[str] = set()

    def released(self, piece: Any) -> str:
        assert piece.channel not in self.ended, "text after the last"
        assert self.kinds.setdefault(piece.channel, piece.kind) is piece.kind
        text = self._held[piece.channel] + piece.text
        if piece.is_last:
            self.ended.add(piece.channel)
            self._held.pop(piece.channel)
            return masked(text)
        end = max(0, len(text) - max(self._delay, len(SECRET) - 1))
        while SECRET in text[max(0, end - len(SECRET) + 1) : end + len(SECRET) - 1]:
            end += 1  # never within a finding
        self._held[piece.channel] = text[end:]
        return masked(text[:end])


def shown(stream: Any, chunks: Iterable[bytes], release: Callable[[Any], str]) -> bytes:
    """All that goes to the client."""
    return b"".join(
        event.written([release(piece) for piece in event.pieces])
        for chunk in chunks
        for event in stream.take(chunk)
    )


def openai_chunk(index: int = 0, finish: str | None = None, **delta: Any) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    event = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    return b"data: " + json.dumps(event | {"choices": [choice]}).encode() + b"\n\n"


def openai_call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    name = {"name": more.pop("name")} if "name" in more else {}
    return {"index": index, **more, "function": {**name, "arguments": arguments}}


def usage_chunk() -> bytes:
    event = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    return b"data: " + json.dumps(event | {"choices": [], "usage": usage}).encode() + b"\n\n"


def openai_texts(stream: bytes) -> dict[Any, str]:
    """What a client puts together of a stream, by choice, kind and tool call."""
    texts: dict[Any, str] = defaultdict(str)
    for line in stream.split(b"\n\n"):
        if not line or line + b"\n\n" == DONE:
            continue
        for choice in json.loads(line.removeprefix(b"data: "))["choices"]:
            delta = choice["delta"]
            for kind in ("content", "refusal", "reasoning_content"):
                texts[choice["index"], kind] += delta.get(kind) or ""
            for call in delta.get("tool_calls") or ():
                texts[choice["index"], call["index"]] += call["function"]["arguments"]
    return {where: text for where, text in texts.items() if text}


def typed_texts(stream: bytes) -> dict[Any, str]:
    texts: dict[Any, str] = defaultdict(str)
    thoughts = 0
    for event in chat_pb2.ChatEvents.FromString(stream).events:
        kind = str(event.WhichOneof("kind"))
        if kind == "tool_call_delta":
            texts[event.tool_call_delta.index] += event.tool_call_delta.arguments_fragment
        elif kind == "citation":
            texts["quoted"] += event.citation.quoted + "|"
        elif kind == "reasoning_end":
            thoughts += 1
        elif kind.endswith("_delta"):
            where = (kind, thoughts) if kind == "reasoning_delta" else kind
            texts[where] += getattr(event, kind)
    return {where: text for where, text in texts.items() if text}
