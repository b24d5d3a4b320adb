"""Anthropic's messages as Anthropic writes them, plain and streamed, and what it refuses.

Written after the pages "Messages", "Streaming messages", "Errors", "Extended thinking" and "Versions"
of Anthropic's documentation (platform.claude.com/docs, read on 2026-11-29), and the types of its
Python SDK 2.14.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec

from upstream import chat
from upstream.behaviours import Behaviour, Refuse, Usage
from upstream.chat import Body, Chat, count_tokens, pieces
from upstream.records import Request
from upstream.refusals import ErrorForm
from upstream.sse import NamedEvent

PATH = "/v1/messages"
COUNT_PATH = "/v1/messages/count_tokens"
THOUGHT = "Let me think about this."
SIGNATURE = "sig-fake-upstream"
_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_SAMPLING = ("temperature", "top_p", "top_k")
_SAMPLING_IS_GONE = "2026-10-21"


class Said(msgspec.Struct):
    """What is said to one request.

    Args:
        chat: The same, as the other forms have it.
        thought: Comes first, if anything is thought.
    """

    chat: Chat
    thought: str = ""


def compose(body: Body, behaviour: Behaviour, number: int, text: str) -> Said:
    """Decides what to say to a request."""
    thinking = (body.get("thinking") or {}).get("type")
    said = chat.compose(_as_chat(body), behaviour, number, text)
    return Said(said, THOUGHT if thinking in ("enabled", "adaptive") else "")


def _as_chat(body: Body) -> Body:
    """The request as chat completions have it, as far as it decides what is said."""
    choice = body.get("tool_choice") or {}
    named = {"function": {"name": choice.get("name")}}
    words = {"tool": named, "any": "required", "none": "none"}
    tools = [
        {"function": {"name": tool["name"], "parameters": tool.get("input_schema")}}
        for tool in body.get("tools") or []
    ]
    return {
        "model": body["model"],
        "messages": body["messages"],
        "max_tokens": body["max_tokens"],
        "tools": tools,
        "tool_choice": words.get(choice.get("type")),
    }


def whole(said: Said) -> bytes:
    """A plain answer."""
    answer = _message(said) | {
        "content": _blocks(said),
        "stop_reason": _reason(said),
        "usage": _usage_json(said.chat.usage or Usage(0, 0)),
    }
    return msgspec.json.encode(answer)


def payloads(said: Said, chunks: int, *, usage_asked: str) -> Iterator[bytes]:
    """The events of a stream, in order; usage is always told."""
    del usage_asked
    usage = said.chat.usage or Usage(0, 0)
    yield _event("message_start", message=_message(said) | {"usage": _opening_usage(usage)})
    for index, block in enumerate(_blocks(said)):
        yield _event("content_block_start", index=index, content_block=_begun(block))
        if index == 0:
            yield _event("ping")
        for delta in _deltas(block, chunks):
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    delta = {"stop_reason": _reason(said), "stop_sequence": None}
    told = {"output_tokens": usage.output_tokens}
    if usage.reasoning_tokens:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    yield _event("message_delta", delta=delta, usage=told)
    yield _event("message_stop")


def endless_payloads(said: Said) -> Iterator[bytes]:
    """As `payloads`, but the text never ends."""
    yield _event("message_start", message=_message(said) | {"usage": _opening_usage(Usage(1, 1))})
    yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for number in count():
        delta = {"type": "text_delta", "text": f"{said.chat.text} {number} "}
        yield _event("content_block_delta", index=0, delta=delta)


def token_count(body: Body) -> bytes:
    """An answer to what asks how long a request is."""
    return msgspec.json.encode({"input_tokens": count_tokens(chat.prompt(body))})


def objection(record: Request, api_key: str | None) -> Refuse | None:
    """What Anthropic itself would refuse."""
    key = record.header("x-api-key")
    if api_key is not None and key != api_key:
        return _refuse(401, "authentication_error", "invalid x-api-key")
    version = record.header("anthropic-version")
    if version is None:
        return _invalid("anthropic-version: header is required")
    body = record.body
    if not isinstance(body, dict):
        return _invalid("The request body is not valid JSON")
    for name in ("model", "messages", *(["max_tokens"] if record.path == PATH else [])):
        if not body.get(name):
            return _invalid(f"{name}: Field required")
    return (
        _objection_to_sampling(body, version)
        or _objection_to_messages(body["messages"])
        or _objection_to_thinking(body)
    )


def _objection_to_sampling(body: Body, version: str) -> Refuse | None:
    for name in _SAMPLING:
        if name in body and version >= _SAMPLING_IS_GONE:
            return _invalid(f"{name}: Extra inputs are not permitted")
    if body.get("temperature", 0) > 1:
        return _invalid("temperature: range: 0..1")
    return None


def _objection_to_thinking(body: Body) -> Refuse | None:
    """Who thinks by a budget wants the thought back with the calls it led to, and cannot be forced.

    Adaptive thinking wants neither back, and cannot be forced either.
    """
    kind = (body.get("thinking") or {}).get("type")
    if kind not in ("enabled", "adaptive"):
        return None
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        return _invalid("Thinking may not be enabled when tool_choice forces tool use.")
    if kind == "adaptive":
        return None
    first: tuple[int, list[str]] = (0, [])
    for at, message in reversed([*enumerate(body["messages"])]):
        blocks = message["content"] if isinstance(message["content"], list) else []
        kinds = [block["type"] for block in blocks]
        if message["role"] == "assistant":
            first = (at, kinds)
        elif "tool_result" not in kinds:
            break  # another turn: its thoughts are forgotten
    at, kinds = first
    if not kinds or kinds[0] in ("thinking", "redacted_thinking"):
        return None
    return _invalid(
        f"messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found"
        f" `{kinds[0]}`. When `thinking` is enabled, a final `assistant` message must start with a"
        " thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
    )


def _objection_to_messages(messages: list[Body]) -> Refuse | None:
    wanted: set[str] = set()
    for at, message in enumerate(messages):
        if message["role"] not in ("user", "assistant", "system"):
            return _invalid(f"messages.{at}.role: unexpected value")
        blocks = message["content"] if isinstance(message["content"], list) else []
        given = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if wanted - given:
            return _invalid(
                f"messages.{at}: `tool_use` ids were found without `tool_result` blocks"
            )
        if given - wanted:
            return _invalid(
                f"messages.{at}: unexpected `tool_use_id` found in `tool_result` blocks"
            )
        for block in blocks:
            if block["type"] == "text" and not block["text"]:
                return _invalid(f"messages.{at}: text content blocks must be non-empty")
            if block["type"] == "thinking" and block["signature"] != SIGNATURE:
                return _invalid(f"messages.{at}: Invalid `signature` in `thinking` block")
        wanted = {block["id"] for block in blocks if block["type"] == "tool_use"}
    return None


def error_event(message: str, error_type: str) -> bytes:
    """An error inside a stream."""
    return _event("error", error={"type": error_type, "message": message})


def error_json(message: str, error_type: str) -> bytes:
    """The body of an error answer."""
    error = {"type": error_type, "message": message}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": "req_fake"})


_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def _body(refuse: Refuse) -> bytes:
    return error_json(refuse.message, refuse.error_type or _TYPES.get(refuse.status, "api_error"))


def _error_event(message: str, error_type: str, code: str | None) -> bytes:
    del code
    return error_event(message, error_type)


ERRORS = ErrorForm(
    body=_body,
    event=_error_event,
    id_header="request-id",
    headers=[("anthropic-organization-id", "org-fake")],
    ends_with_done=False,
)


def _invalid(message: str) -> Refuse:
    return _refuse(400, "invalid_request_error", message)


def _refuse(status: int, error_type: str, message: str) -> Refuse:
    return Refuse(status=status, error_type=error_type, message=message)


def _event(kind: str, **members: Any) -> bytes:
    return NamedEvent(kind, msgspec.json.encode({"type": kind, **members}))


def _message(said: Said) -> Body:
    return {
        "model": said.chat.model,
        "id": said.chat.id.replace("chatcmpl-fake", "msg_01fake"),
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _reason(said: Said) -> str:
    return _REASONS.get(said.chat.finish_reason, said.chat.finish_reason)


def _blocks(said: Said) -> list[Body]:
    blocks: list[Body] = []
    if said.thought:
        blocks.append({"type": "thinking", "thinking": said.thought, "signature": SIGNATURE})
    if said.chat.text:
        blocks.append({"type": "text", "text": said.chat.text})
    for number, call in enumerate(said.chat.tool_calls):
        called = {"type": "tool_use", "id": f"toolu_01fake{said.chat.id[-8:]}{number}"}
        arguments = msgspec.Raw(call.arguments.encode())
        blocks.append(called | {"name": call.name, "input": arguments})
    return blocks


def _begun(block: Body) -> Body:
    empty = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}}
    return block | empty.get(block["type"], {"input": {}})


def _deltas(block: Body, chunks: int) -> Iterator[Body]:
    match block["type"]:
        case "thinking":
            for piece in pieces(block["thinking"], chunks):
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "text":
            for piece in pieces(block["text"], chunks):
                yield {"type": "text_delta", "text": piece}
        case _:
            yield {"type": "input_json_delta", "partial_json": ""}
            for piece in pieces(bytes(block["input"]).decode(), chunks):
                yield {"type": "input_json_delta", "partial_json": piece}


def _usage_json(usage: Usage) -> Body:
    return _opening_usage(usage) | {
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def _opening_usage(usage: Usage) -> Body:
    return {
        "input_tokens": usage.input_tokens - usage.cached_input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 1,
        "service_tier": "standard",
    }
