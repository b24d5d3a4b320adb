"""What there is to count in requests and answers, as they pass through.

Read leniently: Anthropic is sent, and sends, much that the neutral form does not know.
"""

import json
from collections.abc import Iterator

from meshgate.dialects.counting import (
    FILE_TOKENS,
    IMAGE_TOKENS,
    Countable,
    CountableText,
    countable,
    unreadable,
)
from meshgate.dialects.loose_json import decoded, objects

_SAID = {"text": "text", "thinking": "thinking"}


def countable_text(body: bytes) -> CountableText:
    """What a request says."""
    request = decoded(body)
    if not isinstance(request, dict):
        return unreadable(body)
    messages = objects(request.get("messages"))
    return countable(_of_request(request, messages), len(messages))


def answer_texts(body: bytes) -> list[str]:
    """What a plain answer says."""
    answer = decoded(body)
    if not isinstance(answer, dict):
        return unreadable(body).texts
    found = _of_content(answer.get("content"))
    return [item for item in found if isinstance(item, str) and item]


def _of_request(
    request: dict[str, object], messages: list[dict[str, object]]
) -> Iterator[Countable]:
    yield from _of_content(request.get("system"))
    for message in messages:
        yield from _of_content(message.get("content"))
    for tool in objects(request.get("tools")):
        yield _json(tool)
    config = request.get("output_config")
    if isinstance(config, dict) and config.get("format"):
        yield _json(config["format"])


def _of_content(content: object) -> Iterator[Countable]:
    if isinstance(content, str):
        yield content
    for block in objects(content):
        yield from _of_block(block)


def _of_block(block: dict[str, object]) -> Iterator[Countable]:
    kind = block.get("type")
    if isinstance(kind, str) and kind in _SAID:
        yield from _of_text(block.get(_SAID[kind]))
    elif kind == "image":
        yield IMAGE_TOKENS
    elif kind == "document":
        yield from _of_document(block)
    elif kind == "tool_use":
        yield from _of_text(block.get("name"))
        yield _json(block.get("input"))
    elif kind == "tool_result":
        yield from _of_content(block.get("content"))
    elif kind != "redacted_thinking":
        yield _json(block)


def _of_document(block: dict[str, object]) -> Iterator[Countable]:
    yield from _of_text(block.get("title"))
    yield from _of_text(block.get("context"))
    source = block.get("source")
    if isinstance(source, dict) and source.get("type") in ("text", "content"):
        yield from _of_content(source.get("data") or source.get("content"))
    else:
        yield FILE_TOKENS


def _of_text(value: object) -> Iterator[Countable]:
    if isinstance(value, str):
        yield value


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:  # a writer may go less deep than a reader
        return str(type(value))
