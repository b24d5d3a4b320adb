"""The messages of a Cohere chat request, written from the neutral form.

Thoughts without a signature are told as the plan for the calls that follow them, or else as what they
are; those that another API signed are left out. Documents that are text stand beside the conversation,
where Cohere has them. A refusal is told as the text it is, and a tool's failure as a document with an
`error`. Hints for a cache are left out, for Cohere caches by itself, and so is the name of a tool beside
its result, which the call says.
"""

from collections.abc import Iterable, Sequence

from meshgate.dialects.cohere_chat.fields import DOCUMENT
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
from meshgate.dialects.openai_chat import data_uri

Written = dict[str, object]

_SPOKEN: dict[Role, tuple[type[Part], ...]] = {
    Role.SYSTEM: (Text, CachePoint),
    Role.USER: (Text, Image, File, ToolResult, CachePoint),
    Role.ASSISTANT: (Text, Refusal, Reasoning, ToolCall, CachePoint),
    Role.TOOL: (ToolResult, CachePoint),
}
_NAMES: dict[type[Part], str] = {ToolCall: "tool_call", ToolResult: "tool_result"}
_DETAILS = ("auto", "low", "high")


class Conversation:
    """What a request says, in Cohere's terms.

    Attributes:
        turns: The conversation.
        documents: What it is about.
        is_cited: Whether the answer is to cite one of them.
    """

    def __init__(self, messages: Iterable[Message]) -> None:
        """Write the messages.

        Raises:
            UnsupportedError: One of them cannot be said here.
        """
        self.turns: list[Written] = []
        self.documents: list[Written] = []
        self.is_cited = False
        for at, message in enumerate(messages):
            self._take(message, f"messages[{at}]")

    def _take(self, message: Message, at: str) -> None:
        _check(message, at)
        if message.role is Role.ASSISTANT:
            self.turns.append(_assistant(message.parts, at))
            return
        content: list[Written] = []
        for number, part in enumerate(message.parts):
            where = f"{at}.parts[{number}]"
            if isinstance(part, ToolResult):
                self.turns.append(_tool_result(part, f"{where}.tool_result"))
            elif isinstance(part, File):
                self._add_document(part, f"{where}.file")
            elif not isinstance(part, CachePoint):
                content.append(_content(part, where))
        if content or not message.parts:
            self.turns.append({"role": message.role.value, "content": _shortened(content)})

    def _add_document(self, file: File, at: str) -> None:
        if not (file.data and file.media_type.lower().startswith("text/")):
            raise unsupported(at)
        data = {"text": file.data.decode(errors="replace")}
        if file.filename:
            data["title"] = file.filename
        self.documents.append({"id": f"{DOCUMENT}{len(self.documents)}", "data": data})
        self.is_cited = self.is_cited or file.is_cited


def _check(message: Message, at: str) -> None:
    if message.speaker_name:
        raise unsupported(f"{at}.name")
    for number, part in enumerate(message.parts):
        if not isinstance(part, _SPOKEN[message.role]):
            name = _NAMES.get(type(part), type(part).__name__.lower())
            raise unsupported(f"{at}.parts[{number}].{name}")


def _assistant(parts: Sequence[Part], at: str) -> Written:
    thoughts = [it.text for it in parts if isinstance(it, Reasoning) and not it.signature]
    texts = [it.text for it in parts if isinstance(it, Text | Refusal)]
    calls = [
        _tool_call(it, f"{at}.parts[{number}].tool_call")
        for number, it in enumerate(parts)
        if isinstance(it, ToolCall)
    ]
    written: Written = {"role": "assistant"}
    content: list[Written] = [{"type": "text", "text": text} for text in texts]
    thought = "\n\n".join(filter(None, thoughts))
    if thought and calls:
        written["tool_plan"] = thought
    elif thought:
        content.insert(0, {"type": "thinking", "thinking": thought})
    if content or not calls:
        written["content"] = _shortened(content)
    if calls:
        written["tool_calls"] = calls
    return written


def _tool_call(call: ToolCall, at: str) -> Written:
    if call.is_custom:
        raise unsupported(f"{at}.is_custom")
    function = {"name": call.name, "arguments": call.arguments_json or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def _tool_result(result: ToolResult, at: str) -> Written:
    content: list[Written] = []
    for number, part in enumerate(result.content):
        if not isinstance(part, Text):
            raise unsupported(f"{at}.content[{number}].{type(part).__name__.lower()}")
        content.append({"type": "text", "text": part.text})
    if result.is_error:
        content = [{"type": "document", "document": {"data": {"error": result.text}}}]
    return {
        "role": "tool",
        "tool_call_id": result.tool_call_id,
        "content": _shortened(content),
    }


def _content(part: Part, at: str) -> Written:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if not isinstance(part, Image) or part.file_id:
        raise unsupported(f"{at}.image.file_id")
    image: Written = {"url": part.uri or data_uri.write(part.data, part.media_type)}
    if part.detail:
        if part.detail not in _DETAILS:
            raise unsupported(f"{at}.image.detail")
        image["detail"] = part.detail
    return {"type": "image_url", "image_url": image}


def _shortened(content: list[Written]) -> object:
    """A content that is one text as that text; nothing as an empty one."""
    if not content:
        return ""
    return content[0]["text"] if len(content) == 1 and "text" in content[0] else content
