"""Responses as OpenAI writes them, plain and streamed.

The shapes are those of https://developers.openai.com/api/reference/resources/responses and its page
`streaming-events`: every event is named, numbered from 0, and there is no `[DONE]`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import msgspec

from upstream import chat
from upstream.behaviours import Behaviour, Refuse, ToolCall, Usage, prompt
from upstream.chat import CREATED, Body, Chat, count_tokens, pieces
from upstream.sse import NamedEvent

ENCRYPTED = "reasoning.encrypted_content"
THOUGHT = "Thinking it over."
_SEAL = "enc:"


@dataclass(frozen=True)
class Response:
    """What is said to one request.

    Args:
        chat: The same as chat completions would say.
        thinks: Whether a thought comes first.
        seals: Whether the thought can be sent back.
        body: The request, parts of which are repeated.
    """

    chat: Chat
    thinks: bool
    seals: bool
    body: Body

    @property
    def stem(self) -> str:
        return self.chat.id.removeprefix("chatcmpl-")


def objection(body: Body) -> Refuse | None:
    """What OpenAI refuses of thoughts that are sent back: they are sealed, and by itself."""
    items = body["input"] if isinstance(body["input"], list) else []
    for at, item in enumerate(items):
        if item.get("type") != "reasoning":
            continue
        content = item.get("encrypted_content")
        if content is None:
            message = f"Item with id '{item.get('id')}' not found."
            return Refuse(status=404, message=message, param="input")
        if not content.startswith(_SEAL):
            return Refuse(
                status=400,
                message="The encrypted content could not be verified.",
                code="invalid_encrypted_content",
                param=f"input[{at}]",
            )
    return None


def compose(body: Body, behaviour: Behaviour, number: int, text: str) -> Response:
    """Decides what to say to a request."""
    said = chat.compose(_as_chat(body), behaviour, number, text)
    usage = behaviour.usage
    if usage is None:
        spoken = said.text or "".join(call.arguments for call in said.tool_calls)
        usage = Usage(input_tokens=count_tokens(prompt(body)), output_tokens=count_tokens(spoken))
    include = body.get("include") or []
    return Response(
        replace(said, usage=None if behaviour.usage_sent == "never" else usage),
        thinks=isinstance(body.get("reasoning"), dict),
        seals=ENCRYPTED in include,
        body=body,
    )


def _as_chat(body: Body) -> Body:
    """The request as chat completions would have it, as far as it matters here."""
    tools = [{"function": tool} for tool in body.get("tools") or [] if tool["type"] == "function"]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        choice = {"function": {"name": choice["name"]}}
    items = body["input"] if isinstance(body["input"], list) else [{"content": body["input"]}]
    asked = {"messages": items, "tools": tools, "tool_choice": choice}
    if body.get("max_output_tokens"):
        asked["max_tokens"] = body["max_output_tokens"]
    return {**asked, "model": body["model"], "service_tier": body.get("service_tier")}


def whole(said: Response) -> bytes:
    """A plain answer, spread over lines as OpenAI does."""
    return msgspec.json.format(msgspec.json.encode(_object(said, _status(said))), indent=2)


def _status(said: Response) -> str:
    cut = said.chat.finish_reason in {"length", "content_filter"}
    return "incomplete" if cut else "completed"


def _object(said: Response, status: str) -> Body:
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    is_over = status != "in_progress"
    details = {"reason": reasons[said.chat.finish_reason]} if status == "incomplete" else None
    return {
        "id": f"resp_{said.stem}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": details,
        "instructions": said.body.get("instructions"),
        "max_output_tokens": said.body.get("max_output_tokens"),
        "model": said.chat.model,
        "output": _output(said) if is_over else [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": said.chat.service_tier if is_over else "auto",
        "store": said.body.get("store", True),
        "temperature": 1.0,
        "text": said.body.get("text") or {"format": {"type": "text"}},
        "tool_choice": said.body.get("tool_choice", "auto"),
        "tools": said.body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": _usage(said.chat.usage) if is_over else None,
        "user": None,
        "metadata": {},
    }


def _usage(usage: Usage | None) -> Body | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_input_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _output(said: Response) -> list[Body]:
    thoughts = [_thought(said, THOUGHT)] if said.thinks else []
    if said.chat.tool_calls:
        calls = [_call(said, i, call) for i, call in enumerate(said.chat.tool_calls)]
        return [*thoughts, *calls]
    return [*thoughts, _message(said, [_text(said.chat.text or "")], _status(said))]


def _thought(said: Response, text: str) -> Body:
    summary = [{"type": "summary_text", "text": text}] if text else []
    item: Body = {"id": f"rs_{said.stem}", "type": "reasoning", "summary": summary}
    if said.seals:
        item["encrypted_content"] = f"{_SEAL}{said.stem}"
    return item


def _message(said: Response, content: list[Body], status: str) -> Body:
    message = {"id": f"msg_{said.stem}", "type": "message", "status": status}
    return {**message, "role": "assistant", "content": content}


def _text(text: str) -> Body:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _call(said: Response, index: int, call: ToolCall, status: str = "completed") -> Body:
    return {
        "id": f"fc_{said.stem}{index}",
        "type": "function_call",
        "status": status,
        "arguments": call.arguments,
        "call_id": f"call_{said.stem[-8:]}{index}",
        "name": call.name,
    }


class _Numbered:
    """Writes events one after the other."""

    def __init__(self) -> None:
        self._numbers = count()

    def event(self, kind: str, **members: Any) -> NamedEvent:
        content = {"type": kind, "sequence_number": next(self._numbers), **members}
        return NamedEvent(kind, msgspec.json.encode(content))


def payloads(said: Response, chunks: int, *, usage_asked: str) -> Iterator[bytes]:
    """The events of a stream, in order; the usage is always told, in the last one.

    Args:
        said: What is said.
        chunks: How many events the text, or the arguments of each tool call, are cut into.
        usage_asked: Means nothing here.
    """
    del usage_asked
    events = _Numbered()
    yield from _opening(events, said)
    first = 0
    if said.thinks:
        first = 1
        yield from _thinking(events, said)
    if said.chat.tool_calls:
        for index, call in enumerate(said.chat.tool_calls):
            yield from _calling(events, said, first, index, call, chunks)
    else:
        yield from _speaking(events, said, first, chunks)
    status = _status(said)
    yield events.event(f"response.{status}", response=_object(said, status))


def endless_payloads(said: Response) -> Iterator[bytes]:
    """As `payloads`, but the text never ends."""
    events = _Numbered()
    yield from _opening(events, said)
    yield from _speech_opening(events, said, 0)
    place = {"item_id": f"msg_{said.stem}", "output_index": 0, "content_index": 0}
    for number in count():
        text = f"{said.chat.text} {number} "
        yield events.event("response.output_text.delta", **place, delta=text, logprobs=[])


def _opening(events: _Numbered, said: Response) -> Iterator[bytes]:
    for kind in ("response.created", "response.in_progress"):
        yield events.event(kind, response=_object(said, "in_progress"))


def _thinking(events: _Numbered, said: Response) -> Iterator[bytes]:
    item = _thought(said, "")
    place = {"item_id": item["id"], "output_index": 0, "summary_index": 0}
    part = {"type": "summary_text", "text": ""}
    yield events.event("response.output_item.added", output_index=0, item=item)
    yield events.event("response.reasoning_summary_part.added", **place, part=part)
    for piece in pieces(THOUGHT, 2):
        yield events.event("response.reasoning_summary_text.delta", **place, delta=piece)
    yield events.event("response.reasoning_summary_text.done", **place, text=THOUGHT)
    part = {"type": "summary_text", "text": THOUGHT}
    yield events.event("response.reasoning_summary_part.done", **place, part=part)
    done = _thought(said, THOUGHT)
    yield events.event("response.output_item.done", output_index=0, item=done)


def _speech_opening(events: _Numbered, said: Response, index: int) -> Iterator[bytes]:
    item = _message(said, [], "in_progress")
    yield events.event("response.output_item.added", output_index=index, item=item)
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    yield events.event("response.content_part.added", **place, part=_text(""))


def _speaking(events: _Numbered, said: Response, index: int, chunks: int) -> Iterator[bytes]:
    yield from _speech_opening(events, said, index)
    place = {"item_id": f"msg_{said.stem}", "output_index": index, "content_index": 0}
    text = said.chat.text or ""
    for piece in pieces(text, chunks):
        yield events.event("response.output_text.delta", **place, delta=piece, logprobs=[])
    yield events.event("response.output_text.done", **place, text=text, logprobs=[])
    yield events.event("response.content_part.done", **place, part=_text(text))
    done = _message(said, [_text(text)], _status(said))
    yield events.event("response.output_item.done", output_index=index, item=done)


def _calling(
    events: _Numbered, said: Response, first: int, index: int, call: ToolCall, chunks: int
) -> Iterator[bytes]:
    begun = _call(said, index, ToolCall(call.name, ""), "in_progress")
    at = first + index
    yield events.event("response.output_item.added", output_index=at, item=begun)
    place = {"item_id": begun["id"], "output_index": at}
    for piece in pieces(call.arguments, chunks):
        yield events.event("response.function_call_arguments.delta", **place, delta=piece)
    yield events.event(
        "response.function_call_arguments.done", **place, name=call.name, arguments=call.arguments
    )
    done = _call(said, index, call)
    yield events.event("response.output_item.done", output_index=at, item=done)
