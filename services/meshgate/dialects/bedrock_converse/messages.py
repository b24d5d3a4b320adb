"""The messages of a Converse request, written from the neutral form.

Turns alternate here: what follows another turn of the same role becomes part of it, and what tools
gave back is the user's. Instructions stand beside the conversation where they come before it, and
else in it, in the role `system`.

Left out are thoughts that bear no signature of this API's, for the models take none; what an earlier
answer cites, for it was found by the model itself; texts that are blank, for the API refuses them;
and the name of a tool beside its result, which the call says. A refusal is told as the text it is.
"""

import base64
import hashlib
import re
from collections.abc import Iterable

import msgspec
from msgspec import Raw

from meshgate.dialects import signatures
from meshgate.dialects.bedrock_converse import media
from meshgate.dialects.bedrock_converse.fields import NAME
from meshgate.dialects.bedrock_converse.media import DocumentNames
from meshgate.dialects.neutral import (
    Audio,
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

Block = dict[str, object]

_SPOKEN: dict[Role, tuple[type[Part], ...]] = {
    Role.SYSTEM: (Text, CachePoint),
    Role.USER: (Text, Image, Audio, File, ToolResult, CachePoint),
    Role.ASSISTANT: (Text, Refusal, Reasoning, ToolCall, CachePoint),
    Role.TOOL: (ToolResult, CachePoint),
}
_ROLES = {
    Role.SYSTEM: "system",
    Role.USER: "user",
    Role.ASSISTANT: "assistant",
    Role.TOOL: "user",
}
_NAMES: dict[type[Part], str] = {ToolCall: "tool_call", ToolResult: "tool_result"}
_TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


class Conversation:
    """What a request says, in Converse's terms.

    Attributes:
        system: The instructions before the first turn.
        turns: The conversation.
        has_tool_use: Whether tools were called in it.
    """

    def __init__(self, messages: Iterable[Message], *, is_claude: bool) -> None:
        """Write the messages.

        Raises:
            UnsupportedError: One of them cannot be said here.
        """
        self.system: list[Block] = []
        self.turns: list[dict[str, object]] = []
        self.has_tool_use = False
        self._documents = DocumentNames()
        self._is_claude = is_claude
        self._role = ""
        self._blocks: list[Block] = []
        for at, message in enumerate(messages):
            self._take(message, f"messages[{at}]")

    def _take(self, message: Message, at: str) -> None:
        if message.speaker_name:
            raise unsupported(f"{at}.name")
        blocks: list[Block] = []
        for number, part in enumerate(message.parts):
            where = f"{at}.parts[{number}]"
            if not isinstance(part, _SPOKEN[message.role]):
                raise unsupported(f"{where}.{_name_of(part)}")
            block = self._block(part, where)
            if block is not None:
                blocks.append(block)
        self._add(_ROLES[message.role], blocks)

    def _add(self, role: str, blocks: list[Block]) -> None:
        if role == "system" and not self.turns:
            self.system += blocks
        elif role == self._role:
            self._blocks += blocks
        elif blocks:
            self._role, self._blocks = role, blocks
            self.turns.append({"role": role, "content": blocks})

    def _block(self, part: Part, at: str) -> Block | None:
        match part:
            case Image() | Audio() | File():
                return self._medium(part, at)
            case ToolCall() | ToolResult():
                self.has_tool_use = True
                return _tool_use(part, at) if isinstance(part, ToolCall) else self._result(part, at)
            case Reasoning():
                return self._thought(part)
            case CachePoint():
                return cache_point(part)
            case Text(text) | Refusal(text):
                return {"text": text} if text.strip() else None

    def _medium(self, part: Image | Audio | File, at: str) -> Block:
        match part:
            case Image():
                return media.image(part, at)
            case Audio():
                return media.audio(part, at)
            case File():
                return media.document(part, self._documents, at)

    def _thought(self, thought: Reasoning) -> Block | None:
        if not thought.signature:
            return None
        if thought.is_redacted:
            if not signatures.is_for(thought.origin, NAME):
                return None
            hidden = base64.b64encode(thought.signature).decode("ascii")
            return {"reasoningContent": {"redactedContent": hidden}}
        # Anthropic's guide on extended thinking: its signatures hold on all platforms.
        is_anthropics = self._is_claude and thought.origin == "anthropic_messages"
        if not (signatures.is_for(thought.origin, NAME) or is_anthropics):
            return None
        told = {"text": thought.text, "signature": thought.signature.decode(errors="replace")}
        return {"reasoningContent": {"reasoningText": told}}

    def _result(self, result: ToolResult, at: str) -> Block:
        content: list[Block] = []
        for number, part in enumerate(result.content):
            block = self._block(part, f"{at}.tool_result.content[{number}]")
            if block is not None:
                content.append(block)
        written: Block = {"toolUseId": _tool_use_id(result.tool_call_id), "content": content}
        if result.is_error:
            written["status"] = "error"
        return {"toolResult": written}


def cache_point(point: CachePoint) -> Block:
    """Write a hint to cache what stands before it."""
    written = {"type": "default"}
    if point.ttl:
        written["ttl"] = point.ttl
    return {"cachePoint": written}


def _tool_use(call: ToolCall, at: str) -> Block:
    if call.is_custom:
        raise unsupported(f"{at}.tool_call.is_custom")
    arguments = call.arguments_json.strip() or "{}"
    try:
        _MEMBERS.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        raise unsupported(f"{at}.tool_call.arguments_json") from None
    use = {"toolUseId": _tool_use_id(call.id), "name": call.name, "input": Raw(arguments.encode())}
    return {"toolUse": use}


def _tool_use_id(call_id: str) -> str:
    """The id of a call as it may be written here; an upstream of another kind may have made it."""
    if _TOOL_USE_ID.fullmatch(call_id):
        return call_id
    return "call_" + hashlib.sha256(call_id.encode(errors="replace")).hexdigest()[:32]


def _name_of(part: Part) -> str:
    return _NAMES.get(type(part), type(part).__name__.lower())
