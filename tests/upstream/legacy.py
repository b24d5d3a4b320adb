"""Completions without messages, as OpenAI's older API writes them, plain and streamed."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec

from upstream import chat
from upstream.behaviours import Behaviour
from upstream.chat import CREATED, Body, Chat, pieces, usage_json


def compose(body: Body, behaviour: Behaviour, number: int, text: str) -> Chat:
    """Decides what to say to a request; the same to each prompt, `n` times."""
    said = chat.compose(body, behaviour, number, text)
    prompts = _count(body["prompt"])
    usage = said.usage
    if usage is not None and behaviour.usage is None:
        usage = msgspec.structs.replace(usage, output_tokens=usage.output_tokens * prompts)

    return Chat(
        id=said.id.replace("chatcmpl", "cmpl"),
        model=said.model,
        choices=said.choices * prompts,
        text=said.text,
        tool_calls=(),
        finish_reason=said.finish_reason,
        usage=usage,
    )


def _count(prompt: Any) -> int:
    """A text or its tokens is one prompt; a list of either is as many."""
    if isinstance(prompt, list) and not isinstance(prompt[0], int):
        return len(prompt)
    return 1


def whole(said: Chat) -> bytes:
    """A plain answer, spread over lines as OpenAI does."""
    answer = _frame(said) | {
        "choices": [_choice(i, said.text or "", said.finish_reason) for i in range(said.choices)],
        **({} if said.usage is None else {"usage": usage_json(said.usage)}),
    }

    return msgspec.json.format(msgspec.json.encode(answer), indent=2)


def payloads(said: Chat, chunks: int, *, usage_asked: str) -> Iterator[bytes]:
    """The data of a stream's events, in order, without `[DONE]`; as with chats."""
    tail: Body = {"usage": None} if usage_asked == "yes" else {}
    for piece in pieces(said.text or "", chunks):
        for index in range(said.choices):
            yield msgspec.json.encode(_frame(said) | {"choices": [_choice(index, piece)]} | tail)
    for index in range(said.choices):
        last = _choice(index, "", said.finish_reason)
        yield msgspec.json.encode(_frame(said) | {"choices": [last]} | tail)
    if said.usage is not None:
        usage = {"choices": [], "usage": usage_json(said.usage)}
        yield msgspec.json.encode(_frame(said) | usage)


def endless_payloads(said: Chat) -> Iterator[bytes]:
    """As `payloads`, but the text never ends."""
    for number in count():
        choice = _choice(0, f"{said.text} {number} ")
        yield msgspec.json.encode(_frame(said) | {"choices": [choice]})


def _frame(said: Chat) -> Body:
    return {
        "id": said.id,
        "object": "text_completion",
        "created": CREATED,
        "model": said.model,
        "system_fingerprint": "fp_fake",
    }


def _choice(index: int, text: str, finish_reason: str | None = None) -> Body:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}
