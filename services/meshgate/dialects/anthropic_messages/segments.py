"""The texts of requests for messages, and of answers.

What is said stands where the API says so, and everything in a block that the API does not know is
looked at as well. Pictures and files are not looked at, but for documents that are text; nor are the
tools that a request defines: those are the application's own words.

A thought that is masked is none that Anthropic signed any more: it loses its signature with it.
"""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw

from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.anthropic_messages import signing
from meshgate.dialects.json_text import (
    Found,
    JsonCut,
    Path,
    in_items,
    in_members,
    in_value,
    replaced,
)
from meshgate.dialects.openai_api.request_body import decode

# Of these a request has no text, or none that a model is told.
_NOT_SAID = frozenset(
    {"model", "tools", "tool_choice", "stop_sequences", "stream", "metadata", "thinking"}
    | {"output_config", "service_tier", "cache_control", "speed", "inference_geo", "container"}
)
_NOT_SAID_IN_BLOCKS = frozenset(
    {"type", "id", "name", "tool_use_id", "cache_control", "signature", "data", "caller"}
    | {"toolset_name", "encrypted_content", "encrypted_index"}
)
_NOT_SAID_IN_CITATIONS = frozenset({"type", "encrypted_index", "file_id"})
_KEPT_OF_BLOCKED = frozenset({"id", "type", "role", "model", "usage"})

_REQUEST = msgspec.json.Decoder(dict[str, object])
_ANSWER = msgspec.json.Decoder(dict[str, Raw])


class MessageCut(JsonCut):
    """A body, and the texts in it."""

    def masked(self, texts: Mapping[str, str]) -> bytes:
        """The body with these texts in place of its own."""
        paths = [self._found[where].path for where in texts]
        unsigned = msgspec.json.encode(signing.UNSIGNED)
        changes = {(*path[:-1], "signature"): unsigned for path in paths if path[-1] == "thinking"}
        return replaced(super().masked(texts), changes)


def cut_request(body: bytes) -> MessageCut:
    """Take the texts out of a request.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    readers = {"messages": _messages, "system": in_content}
    return MessageCut(body, in_members(decode(_REQUEST, body), (), _NOT_SAID, readers))


def cut_answer(body: bytes) -> MessageCut:
    """Take the texts out of a plain answer.

    Raises:
        MalformedAnswerError: It is not a message.
    """
    try:
        content = _REQUEST.decode(body)["content"]
    except (*UNREADABLE, KeyError) as error:
        raise MalformedAnswerError("the answer is not a message") from error
    return MessageCut(body, in_content(content, ("content",)))


def blocked_answer(body: bytes) -> bytes:
    """Write a plain answer of which nothing may be shown but what it cost.

    Raises:
        MalformedAnswerError: It is not a message.
    """
    try:
        members = _ANSWER.decode(body)
    except UNREADABLE as error:
        raise MalformedAnswerError("the answer is not a message") from error
    kept = {name: value for name, value in members.items() if name in _KEPT_OF_BLOCKED}
    blocked: dict[str, object] = {"content": [], "stop_reason": "refusal", "stop_sequence": None}
    return msgspec.json.encode({**kept, **blocked})


def in_content(content: object, path: Path) -> Iterator[Found]:
    """The texts of a message's content, or of a system prompt."""
    return in_items(content, path, in_block)


def in_block(block: object, path: Path) -> Iterator[Found]:
    """The texts of a block."""
    return in_members(block, path, _NOT_SAID_IN_BLOCKS, _IN_BLOCKS)


def in_citation(citation: object, path: Path) -> Iterator[Found]:
    """The texts of a citation."""
    return in_members(citation, path, _NOT_SAID_IN_CITATIONS, {})


def _messages(messages: object, path: Path) -> Iterator[Found]:
    return in_items(messages, path, _message)


def _message(message: object, path: Path) -> Iterator[Found]:
    return in_members(message, path, {"role"}, {"content": in_content})


def _source(source: object, path: Path) -> Iterator[Found]:
    """What a picture or a document is: text, or nothing that can be looked at."""
    kind = source.get("type") if isinstance(source, dict) else None
    if kind in ("base64", "url", "file"):
        return
    yield from in_members(source, path, {"type", "media_type"}, {"content": in_content})


def _citations(citations: object, path: Path) -> Iterator[Found]:
    if isinstance(citations, list):
        yield from in_items(citations, path, in_citation)


def _input(value: object, path: Path) -> Iterator[Found]:
    return in_value(value, path)


_IN_BLOCKS = {
    "content": in_content,
    "source": _source,
    "citations": _citations,
    "input": _input,
}
