"""What there is to count in requests for responses and in these, as they pass through.

Read leniently: upstreams are sent, and send, much that the neutral form does not know.
"""

from collections.abc import Iterator

from meshgate.dialects.counting import (
    AUDIO_TOKENS,
    FILE_TOKENS,
    Countable,
    CountableText,
    countable,
    image_tokens,
    unreadable,
)
from meshgate.dialects.loose_json import as_text, decoded, objects

_SAID = ("text", "refusal")
_GIVEN = ("name", "arguments", "input")


def countable_text(body: bytes) -> CountableText:
    """What a request says."""
    request = decoded(body)
    if not isinstance(request, dict):
        return unreadable(body)
    items = objects(request.get("input"))
    messages = len(items) if items else 1
    return countable(_of_request(request, items), messages + bool(request.get("instructions")))


def answer_texts(body: bytes) -> list[str]:
    """What a plain answer says."""
    answer = decoded(body)
    if not isinstance(answer, dict):
        return unreadable(body).texts
    said = (text for item in objects(answer.get("output")) for text in _of_item(item))
    return [text for text in said if isinstance(text, str) and text]


def _of_request(request: dict[str, object], items: list[dict[str, object]]) -> Iterator[Countable]:
    yield from _of_text(request.get("instructions"))
    if not items:
        yield from _of_text(request.get("input"))
    for item in items:
        yield from _of_item(item)
    for tool in objects(request.get("tools")):
        yield as_text(tool)
    text = request.get("text")
    wanted = text.get("format") if isinstance(text, dict) else None
    if isinstance(wanted, dict) and wanted.get("schema"):
        yield as_text(wanted["schema"])


def _of_item(item: dict[str, object]) -> Iterator[Countable]:
    for member in _GIVEN:
        yield from _of_text(item.get(member))
    for member in ("content", "output", "summary"):
        value = item.get(member)
        if not isinstance(value, list):
            yield from _of_text(value)
            continue
        for part in value:
            yield from _of_part(part)


def _of_part(part: object) -> Iterator[Countable]:
    if not isinstance(part, dict):
        yield from _of_text(part)
        return
    kind = part.get("type")
    if kind == "input_image":
        yield image_tokens(part.get("detail"))
    elif kind == "input_audio":
        yield AUDIO_TOKENS
    elif kind == "input_file":
        yield FILE_TOKENS
    elif any(isinstance(part.get(member), str) for member in _SAID):
        for member in _SAID:
            yield from _of_text(part.get(member))
    else:
        yield as_text(part)


def _of_text(value: object) -> Iterator[Countable]:
    if isinstance(value, str):
        yield value
    elif value:
        yield as_text(value)
