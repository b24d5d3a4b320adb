"""What there is to count in a request or an answer whose upstream reported no usage.

Texts are for a tokenizer. What is no text counts flat, as its true count depends on sizes and
lengths that are not worth finding out for an estimate:

    a picture   765, or 85 in low detail    a square of 1024 pixels, as GPT-4o counts it
    a sound     300                         half a minute at ten tokens a second
    a document  1500                        about two pages
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.neutral import (
    Audio,
    ChatRequest,
    File,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

IMAGE_TOKENS = 765
LOW_DETAIL_IMAGE_TOKENS = 85
AUDIO_TOKENS = 300
FILE_TOKENS = 1500

Countable: TypeAlias = str | int
"""A text, or a number of tokens that is known or taken for granted."""


class CountableText(Struct, frozen=True, kw_only=True):
    """What a request says.

    Attributes:
        texts: To be counted by a tokenizer: what is said, and the tools in JSON.
        message_count: Each message costs a few tokens of its own.
        other_tokens: What needs no counting: inputs given as tokens, pictures and the like.
    """

    texts: list[str]
    message_count: int = 0
    other_tokens: int = 0


def countable(items: Iterable[Countable], message_count: int) -> CountableText:
    """Put together what was found in a request."""
    found = list(items)
    return CountableText(
        texts=[item for item in found if isinstance(item, str) and item],
        message_count=message_count,
        other_tokens=sum(item for item in found if isinstance(item, int)),
    )


def unreadable(body: bytes) -> CountableText:
    """What a body counts that cannot be read: all of it is text."""
    return CountableText(texts=[body.decode(errors="replace")])


def of_request(request: ChatRequest) -> CountableText:
    """What a chat says."""
    return countable(_of_request(request), len(request.messages))


def of_parts(parts: Iterable[Part]) -> Iterator[Countable]:
    """What the parts of a message say."""
    for part in parts:
        match part:
            case Text() | Refusal() | Reasoning():
                yield part.text
            case ToolResult():
                yield from of_parts(part.content)
            case ToolCall():
                yield part.name
                yield part.arguments_json
            case Image():
                yield image_tokens(part.detail)
            case Audio():
                yield AUDIO_TOKENS
            case File():
                yield FILE_TOKENS


def image_tokens(detail: object) -> int:
    """What a picture counts, by the detail in which it is to be looked at."""
    return LOW_DETAIL_IMAGE_TOKENS if detail == "low" else IMAGE_TOKENS


def _of_request(request: ChatRequest) -> Iterator[Countable]:
    for message in request.messages:
        yield message.name
        yield from of_parts(message.parts)
    for tool in request.tools:
        yield _json(tool)
    if request.response_format is not None:
        yield request.response_format.schema_json.decode(errors="replace")


def _json(tool: Tool) -> str:
    members: dict[str, object] = {"name": tool.name, "description": tool.description}
    if tool.parameters_json:
        members["parameters"] = Raw(tool.parameters_json)
    if tool.format_json:
        members["format"] = Raw(tool.format_json)
    return msgspec.json.encode(members).decode(errors="replace")
