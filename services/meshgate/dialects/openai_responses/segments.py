"""The texts of requests for responses and of these.

What is said stands where the API says so, and everything that the API does not know is looked at as
well. Pictures, sounds and files are not looked at, nor are the tools that a request defines: those are
the application's own words; nor what only the maker of a thought can read.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.json_text import (
    Found,
    JsonCut,
    Path,
    in_items,
    in_json,
    in_members,
    in_value,
)
from meshgate.dialects.openai_api.request_body import decode

# Of these a request has no text, or none that a model is told.
_NOT_SAID = frozenset(
    {"model", "tools", "tool_choice", "text", "reasoning", "include", "stream", "stream_options"}
    | {"user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "metadata"}
    | {"service_tier", "truncation", "prompt_cache_options"}
)
_NOT_SAID_IN_ITEMS = frozenset(
    {"id", "type", "role", "status", "call_id", "phase", "name", "encrypted_content", "namespace"}
    | {"server_label", "caller", "created_by"}
)
_NOT_SAID_IN_PARTS = frozenset(
    {"type", "image_url", "input_audio", "file_id", "file_data", "file_url", "detail", "logprobs"}
    | {"prompt_cache_breakpoint"}
)
_NOT_SAID_IN_ANNOTATIONS = frozenset({"type", "file_id", "container_id"})
_KEPT_OF_BLOCKED = frozenset(
    {"id", "object", "created_at", "model", "usage", "service_tier", "background", "store"}
    | {"tools", "tool_choice", "parallel_tool_calls", "metadata", "temperature", "top_p"}
)
_NOTHING_SAID: dict[str, object] = {
    "status": "incomplete",
    "error": None,
    "incomplete_details": {"reason": "content_filter"},
    "instructions": None,
    "output": [],
}

_REQUEST = msgspec.json.Decoder(dict[str, object])
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def cut_request(body: bytes) -> JsonCut:
    """Take the texts out of a request.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    readers = {"input": _items}
    return JsonCut(body, in_members(decode(_REQUEST, body), (), _NOT_SAID, readers))


def cut_answer(body: bytes) -> JsonCut:
    """Take the texts out of a plain answer.

    Raises:
        MalformedAnswerError: It is not a response.
    """
    try:
        output = _REQUEST.decode(body)["output"]
    except (*UNREADABLE, KeyError) as error:
        raise MalformedAnswerError("the answer is not a response") from error
    return JsonCut(body, _items(output, ("output",)), logprobs_in_items(output))


def blocked_answer(body: bytes) -> bytes:
    """Write a plain answer of which nothing may be shown but what it cost.

    Raises:
        MalformedAnswerError: It is not a response.
    """
    try:
        members = _MEMBERS.decode(body)
    except UNREADABLE as error:
        raise MalformedAnswerError("the answer is not a response") from error
    if "output" not in members:
        raise MalformedAnswerError("the answer is not a response")
    kept = {name: value for name, value in members.items() if name in _KEPT_OF_BLOCKED}
    return msgspec.json.encode({**kept, **_NOTHING_SAID})


def in_item(item: object, path: Path) -> Iterator[Found]:
    """The texts of an item."""
    return in_members(item, path, _NOT_SAID_IN_ITEMS, _IN_ITEMS)


def in_annotation(annotation: object, path: Path) -> Iterator[Found]:
    """The texts of an annotation."""
    return in_members(annotation, path, _NOT_SAID_IN_ANNOTATIONS, {})


def logprobs_in_items(items: object) -> list[Path]:
    """Where the output tells its tokens once more, with how likely they were."""
    if not isinstance(items, list):
        return []
    return [
        path for at, item in enumerate(items) for path in logprobs_in_item(item, ("output", at))
    ]


def logprobs_in_item(item: object, path: Path) -> list[Path]:
    """Where an item does."""
    content = item.get("content") if isinstance(item, dict) else None
    if not isinstance(content, list):
        return []
    return [
        (*path, "content", at, "logprobs")
        for at, part in enumerate(content)
        if isinstance(part, dict) and part.get("logprobs")
    ]


def _items(items: object, path: Path) -> Iterator[Found]:
    return in_items(items, path, in_item)


def _parts(parts: object, path: Path) -> Iterator[Found]:
    return in_items(parts, path, in_part)


def in_part(part: object, path: Path) -> Iterator[Found]:
    """The texts of a part."""
    return in_members(part, path, _NOT_SAID_IN_PARTS, {"annotations": _annotations})


def _annotations(annotations: object, path: Path) -> Iterator[Found]:
    return in_items(annotations, path, in_annotation)


_IN_ITEMS = {
    "content": _parts,
    "summary": _parts,
    "output": _parts,
    "arguments": in_json,
    "input": in_value,
}
