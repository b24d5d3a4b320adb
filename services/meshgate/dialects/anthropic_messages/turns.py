"""The messages of a request, written from the neutral form.

A conversation becomes what Anthropic takes: turns of user and assistant in alternation, and what
tools gave back at the beginning of the user's turn after the one that called them. Messages of one
role that follow one another become one turn, as Anthropic itself would read them.

- System prompts before the first turn are the request's `system`. One that comes later stands in its
  place, where Anthropic takes it: right after the user's turn (models since Claude Opus 4.8; others
  refuse it). Elsewhere it is refused: moved, it would mean something else.
- Thoughts are sent back where Anthropic signed them. Others are left out: it could not read them.
- A refusal in an earlier answer is what the model said, and so becomes text.
- What an earlier answer has cited is left out: what it said counts.
- Text that is empty is left out where something else is said: Anthropic refuses it.
"""

import base64
from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects import signatures
from meshgate.dialects.anthropic_messages.signing import DIALECT
from meshgate.dialects.neutral import (
    CachePoint,
    File,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from meshgate.dialects.openai_api.request_body import unsupported
from meshgate.runtime.errors import InvalidRequestError

Block = dict[str, object]

_SPOKEN: dict[Role, tuple[type[Part], ...]] = {
    Role.SYSTEM: (Text, CachePoint),
    Role.USER: (Text, Image, File, CachePoint),
    Role.ASSISTANT: (Text, Refusal, Reasoning, ToolCall, CachePoint),
    Role.TOOL: (ToolResult, CachePoint),
}
_TURNS = {Role.SYSTEM: "system", Role.USER: "user", Role.TOOL: "user", Role.ASSISTANT: "assistant"}
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_PDF = "application/pdf"
# Anthropic looks at every picture as closely as it can.
_DETAILS = frozenset({"", "auto", "high", "original"})
# What a hint cannot stand at.
_UNMARKED = frozenset({"thinking", "redacted_thinking"})


class Turns(Struct):
    """What is said: the system prompt, and the turns after it."""

    system: list[Block]
    messages: list[Block]


def write(messages: Sequence[Message]) -> Turns:
    """Write the messages.

    Raises:
        InvalidRequestError: A tool call's arguments are not JSON.
        UnsupportedError: A part cannot stand where it does.
    """
    system: list[Block] = []
    turns: list[tuple[str, list[Block]]] = []
    for at, message in enumerate(messages):
        where = f"messages[{at}]"
        if message.speaker_name:
            raise unsupported(f"{where}.name")
        role = _TURNS[message.role]
        if message.role is Role.SYSTEM and not turns:
            _add(system, message, where)
            continue
        if not turns or turns[-1][0] != role:
            _check_place(message, turns, where)
            turns.append((role, []))
        _check_results(message, turns[-1][1], where)
        _add(turns[-1][1], message, where)
        if not turns[-1][1]:
            turns.pop()  # nothing was said
    return Turns(system, [{"role": role, "content": shortened(blocks)} for role, blocks in turns])


def _check_place(message: Message, turns: Sequence[tuple[str, list[Block]]], at: str) -> None:
    if message.role is Role.SYSTEM and turns[-1][0] != "user":
        raise unsupported(f"{at}.role")


def _check_results(message: Message, said: Sequence[Block], at: str) -> None:
    """What tools gave back comes before everything else in a turn."""
    if message.role is Role.TOOL and any(block["type"] != "tool_result" for block in said):
        raise InvalidRequestError(
            f"What a tool gave back in '{at}' must follow the turn that has called it.", field=at
        )


def shortened(blocks: list[Block]) -> object:
    """Content as short as it can be written."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return blocks


def _add(blocks: list[Block], message: Message, at: str) -> None:
    says_more = any(not _is_empty(part) for part in message.parts) or (
        message.role is Role.ASSISTANT or bool(blocks)
    )
    for number, part in enumerate(message.parts):
        where = f"{at}.parts[{number}]"
        if not isinstance(part, _SPOKEN[message.role]):
            raise unsupported(f"{where}.{_name_of(part)}")
        if isinstance(part, CachePoint):
            _mark(blocks, part)
        elif not (says_more and _is_empty(part)):
            block = _block(part, where)
            if block is not None:
                blocks.append(block)


def _is_empty(part: Part) -> bool:
    return isinstance(part, CachePoint) or (isinstance(part, Text | Refusal) and not part.text)


def _name_of(part: Part) -> str:
    names: dict[type[Part], str] = {ToolCall: "tool_call", ToolResult: "tool_result"}
    return names.get(type(part), type(part).__name__.lower())


def _mark(blocks: Sequence[Block], point: CachePoint) -> None:
    if blocks and blocks[-1]["type"] not in _UNMARKED:
        blocks[-1]["cache_control"] = cache_control(point)


def cache_control(point: CachePoint) -> Block:
    """The hint at a block."""
    written: Block = {"type": "ephemeral"}
    return {**written, "ttl": point.ttl} if point.ttl else written


def _block(part: Part, at: str) -> Block | None:
    """A part as a block; None where it is not sent to this upstream."""
    match part:
        case Text(text) | Refusal(text):
            return {"type": "text", "text": text}
        case Image():
            return {"type": "image", "source": _image(part, at)}
        case File():
            return _document(part, at)
        case Reasoning():
            return _thought(part)
        case ToolCall():
            return _tool_use(part, at)
        case ToolResult():
            return _tool_result(part, at)
    raise unsupported(f"{at}.{_name_of(part)}")


def _thought(thought: Reasoning) -> Block | None:
    if not thought.signature or not signatures.is_for(thought.origin, DIALECT):
        return None
    signature = thought.signature.decode(errors="replace")
    if thought.is_redacted:
        return {"type": "redacted_thinking", "data": signature}
    return {"type": "thinking", "thinking": thought.text, "signature": signature}


def _image(image: Image, at: str) -> Block:
    if image.detail not in _DETAILS:
        raise unsupported(f"{at}.image.detail")
    return _source(image) or _base64(image.data, image.media_type)


def _source(part: Image | File) -> Block | None:
    if part.file_id:
        return {"type": "file", "file_id": part.file_id}
    if part.uri:
        return {"type": "url", "url": part.uri}
    return None


def _base64(data: bytes, media_type: str) -> Block:
    encoded = base64.b64encode(data).decode()
    return {"type": "base64", "media_type": media_type, "data": encoded}


def _document(file: File, at: str) -> Block:
    block: Block = {"type": "document", "source": _source(file) or _embedded(file, at)}
    if file.filename:
        block["title"] = file.filename
    if file.is_cited:
        block["citations"] = {"enabled": True}
    return block


def _embedded(file: File, at: str) -> Block:
    media_type = file.media_type or (_PDF if file.data.startswith(b"%PDF") else "")
    if media_type == _PDF:
        return _base64(file.data, media_type)
    if media_type.startswith("text/plain"):
        try:
            return {"type": "text", "media_type": "text/plain", "data": file.data.decode()}
        except UnicodeDecodeError as error:
            raise unsupported(f"{at}.file.data") from error
    raise unsupported(f"{at}.file.media_type")


def _tool_use(call: ToolCall, at: str) -> Block:
    if call.is_custom:
        raise unsupported(f"{at}.tool_call.is_custom")
    return {
        "type": "tool_use",
        "id": call.id,
        "name": call.name,
        "input": arguments(call.arguments_json, f"{at}.tool_call.arguments_json"),
    }


def arguments(text: str, at: str) -> Raw:
    """The arguments of a call as JSON; those that are none are an empty object.

    Raises:
        InvalidRequestError: They are no object.
    """
    if not text.strip():
        return Raw(b"{}")
    encoded = text.encode(errors="replace")
    try:
        _MEMBERS.decode(encoded)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequestError(
            f"The arguments in '{at}' are not a JSON object.", field=at
        ) from error
    return Raw(encoded)


def _tool_result(result: ToolResult, at: str) -> Block:
    content = [
        block
        for number, part in enumerate(result.content)
        if (block := _block(part, f"{at}.tool_result.content[{number}]")) is not None
    ]
    written: Block = {"type": "tool_result", "tool_use_id": result.tool_call_id}
    said = [block for block in content if block != {"type": "text", "text": ""}]
    if said:
        written["content"] = shortened(said)
    if result.is_error:
        written["is_error"] = True
    return written
