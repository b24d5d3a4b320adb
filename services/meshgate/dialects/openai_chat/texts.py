"""What there is to count in chat completion requests and answers, as they pass through.

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

_TEXT_MEMBERS = ("text", "refusal")
_FLAT_TOKENS = {"input_audio": AUDIO_TOKENS, "audio_url": AUDIO_TOKENS, "file": FILE_TOKENS}


def countable_text(body: bytes) -> CountableText:
    """What a request says."""
    request = decoded(body)
    if not isinstance(request, dict):
        return unreadable(body)
    messages = objects(request.get("messages"))
    return countable(_of_request(request, messages), len(messages))


def answer_texts(body: bytes) -> list[str]:
    """What a plain answer says, in all its choices."""
    answer = decoded(body)
    if not isinstance(answer, dict):
        return unreadable(body).texts
    messages = [choice.get("message") for choice in objects(answer.get("choices"))]
    return [text for message in objects(messages) for text in message_texts(message)]


def message_texts(message: dict[str, object]) -> list[str]:
    """The texts of a message, or of a piece of one."""
    return [item for item in _of_message(message) if isinstance(item, str) and item]


def _of_request(
    request: dict[str, object], messages: list[dict[str, object]]
) -> Iterator[Countable]:
    for message in messages:
        yield from _of_message(message)
    for tool in (*objects(request.get("tools")), *objects(request.get("functions"))):
        yield as_text(tool)
    wanted = request.get("response_format")
    if isinstance(wanted, dict) and wanted.get("json_schema"):
        yield as_text(wanted["json_schema"])


def _of_message(message: dict[str, object]) -> Iterator[Countable]:
    yield from _of_text(message.get("name"))
    yield from _of_text(message.get("reasoning_content") or message.get("reasoning"))
    content = message.get("content")
    if isinstance(content, list):
        for part in content:
            yield from _of_part(part)
    else:
        yield from _of_text(content)
    yield from _of_text(message.get("refusal"))
    for call in objects(message.get("tool_calls")):
        yield from _of_call(call.get("function") or call.get("custom"))
    yield from _of_call(message.get("function_call"))


def _of_part(part: object) -> Iterator[Countable]:
    if not isinstance(part, dict):
        yield from _of_text(part)
        return
    kind = part.get("type")
    if not isinstance(kind, str):
        yield as_text(part)
    elif kind == "image_url":
        image = part.get("image_url")
        yield image_tokens(image.get("detail") if isinstance(image, dict) else None)
    elif kind in _FLAT_TOKENS:
        yield _FLAT_TOKENS[kind]
    elif kind in _TEXT_MEMBERS:
        yield from _of_text(part.get(kind))
    else:
        yield as_text(part)


def _of_call(call: object) -> Iterator[Countable]:
    if isinstance(call, dict):
        yield from _of_text(call.get("name"))
        yield from _of_text(call.get("arguments") or call.get("input"))


def _of_text(value: object) -> Iterator[Countable]:
    if isinstance(value, str):
        yield value
    elif value:
        yield as_text(value)
