"""Chat completions as OpenAI writes them, plain and streamed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import msgspec

from upstream.behaviours import Behaviour, ToolCall, Usage, prompt

CREATED = 1_760_000_000
Body = dict[str, Any]


@dataclass(frozen=True)
class Chat:
    """What is said to one request.

    Args:
        id: OpenAI's name for the answer.
        model: As it was asked for.
        choices: How many times it is said.
        text: The content; None with tool calls.
        tool_calls: Instead of the content.
        finish_reason: Of every choice.
        usage: None if it is not sent.
        service_tier: The one asked for, as far as OpenAI serves such.
        thought: What comes before.
        call_numbers: Whether streamed fragments of tool calls say which call they belong to.
    """

    id: str
    model: str
    choices: int
    text: str | None
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str
    usage: Usage | None
    service_tier: str = "default"
    thought: str = ""
    call_numbers: str = "told"


def compose(body: Body, behaviour: Behaviour, number: int, text: str) -> Chat:
    """Decides what to say to a request; `text` is what would be said without tools and limits."""
    calls = behaviour.tool_calls if behaviour.tool_calls is not None else _wanted_calls(body)
    said, reason = (None, "tool_calls") if calls else _limited(text, body)
    choices = body.get("n") or 1

    return Chat(
        id=f"chatcmpl-fake{number:024d}",
        model=body["model"],
        choices=choices,
        text=said,
        tool_calls=calls,
        finish_reason=behaviour.finish_reason or reason,
        usage=_usage(body, behaviour, said or "".join(c.arguments for c in calls), choices),
        service_tier=_tier(body),
        thought=behaviour.thought,
        call_numbers=behaviour.call_numbers,
    )


def _tier(body: Body) -> str:
    asked = body.get("service_tier")
    return asked if asked in {"flex", "priority"} else "default"


def _usage(body: Body, behaviour: Behaviour, said: str, choices: int) -> Usage | None:
    options = body.get("stream_options") or {}
    asked = not body.get("stream") or options.get("include_usage") is True
    if behaviour.usage_sent == "never" or (behaviour.usage_sent == "asked" and not asked):
        return None

    return behaviour.usage or Usage(
        input_tokens=count_tokens(prompt(body)), output_tokens=count_tokens(said) * choices
    )


def count_tokens(text: str) -> int:
    """A token is a word here; splitting a huge text would be slow, counting blanks is not."""
    return text.strip().count(" ") + 1


def _limited(text: str, body: Body) -> tuple[str, str]:
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if limit is None or count_tokens(text) <= limit:
        return text, "stop"

    return "".join(re.findall(r"\S+\s*", text)[:limit]), "length"


def _wanted_calls(body: Body) -> tuple[ToolCall, ...]:
    """Calls a tool if the request forces it, or if the last message says `call NAME`."""
    tools = {t["function"]["name"]: t["function"] for t in body.get("tools") or []}
    choice = body.get("tool_choice")
    if not tools or choice == "none":
        return ()
    if isinstance(choice, dict):
        names = [choice["function"]["name"]]
    elif choice == "required":
        names = list(tools)[:1]
    else:
        last = prompt({"messages": body["messages"][-1:]})
        names = [name for name in tools if f"call {name}" in last]

    return tuple(ToolCall(name, _arguments(tools[name])) for name in names)


def _arguments(function: Body) -> str:
    samples = {"string": "Paris", "integer": 7, "number": 1.5, "boolean": True, "array": []}
    properties = (function.get("parameters") or {}).get("properties") or {}
    values = {name: samples.get(schema.get("type"), {}) for name, schema in properties.items()}
    return msgspec.json.encode(values).decode()


def whole(chat: Chat) -> bytes:
    """A plain answer, spread over lines as OpenAI does."""
    message: Body = {"role": "assistant", "content": chat.text}
    if chat.thought:
        message["reasoning_content"] = chat.thought
    if chat.tool_calls:
        message["tool_calls"] = [_call(chat, i, c) for i, c in enumerate(chat.tool_calls)]
    message |= {"refusal": None, "annotations": []}
    choice = {"message": message, "logprobs": None, "finish_reason": chat.finish_reason}
    answer = {
        "id": chat.id,
        "object": "chat.completion",
        "created": CREATED,
        "model": chat.model,
        "choices": [{"index": index, **choice} for index in range(chat.choices)],
        **({} if chat.usage is None else {"usage": usage_json(chat.usage)}),
        "service_tier": chat.service_tier,
        "system_fingerprint": "fp_fake",
    }

    return msgspec.json.format(msgspec.json.encode(answer), indent=2)


def usage_json(usage: Usage) -> Body:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _call(chat: Chat, index: int, call: ToolCall) -> Body:
    return {
        "id": f"call_{chat.id[-8:]}{index}",
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def payloads(chat: Chat, chunks: int, *, usage_asked: str) -> Iterator[bytes]:
    """The data of a stream's events, in order, without `[DONE]`.

    Args:
        chat: What is said.
        chunks: How many events the text, or the arguments of each tool call, are cut into.
        usage_asked: `yes` puts `"usage": null` into every event before the one that has it.
    """
    shape = _Shape(chat, {"usage": None} if usage_asked == "yes" else {})
    for delta in _deltas(chat, chunks):
        for index in range(chat.choices):
            yield shape.event(index, delta)
    for index in range(chat.choices):
        yield shape.event(index, {}, chat.finish_reason)
    if chat.usage is not None:
        yield shape.last(usage_json(chat.usage))


def endless_payloads(chat: Chat) -> Iterator[bytes]:
    """As `payloads`, but the text never ends."""
    shape = _Shape(chat, {})
    yield shape.event(0, {"role": "assistant", "content": "", "refusal": None})
    for number in count():
        yield shape.event(0, {"content": f"{chat.text} {number} "})


@dataclass(frozen=True)
class _Shape:
    """What all events of one answer share."""

    chat: Chat
    tail: Body

    def event(self, index: int, delta: Body, finish_reason: str | None = None) -> bytes:
        choice = {
            "index": index,
            "delta": delta,
            "logprobs": None,
            "finish_reason": finish_reason,
        }
        return self._encode([choice], self.tail)

    def last(self, usage: Body) -> bytes:
        return self._encode([], {"usage": usage})

    def _encode(self, choices: list[Body], tail: Body) -> bytes:
        return msgspec.json.encode(
            {
                "id": self.chat.id,
                "object": "chat.completion.chunk",
                "created": CREATED,
                "model": self.chat.model,
                "service_tier": self.chat.service_tier,
                "system_fingerprint": "fp_fake",
                "choices": choices,
                **tail,
            }
        )


def _deltas(chat: Chat, chunks: int) -> Iterator[Body]:
    first = None if chat.tool_calls else ""
    yield {"role": "assistant", "content": first, "refusal": None}
    for piece in pieces(chat.thought, chunks) if chat.thought else ():
        yield {"content": None, "reasoning_content": piece}
    if chat.tool_calls:
        yield from _call_deltas(chat, chunks)
        return
    for piece in pieces(chat.text or "", chunks):
        yield {"content": piece}


def _call_deltas(chat: Chat, chunks: int) -> Iterator[Body]:
    for index, call in enumerate(chat.tool_calls):
        opening = _call(chat, index, ToolCall(call.name, ""))
        number = {"index": index} if chat.call_numbers == "told" else {}
        yield {"tool_calls": [{**number, **opening}]}
        for piece in pieces(call.arguments, chunks):
            yield {"tool_calls": [{**number, "function": {"arguments": piece}}]}


def pieces(text: str, number: int) -> Iterator[str]:
    """`text` in `number` parts of nearly equal length; short texts have empty ones."""
    for i in range(number):
        yield text[len(text) * i // number : len(text) * (i + 1) // number]
