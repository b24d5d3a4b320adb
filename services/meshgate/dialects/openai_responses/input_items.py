"""The input of a request for a response, written from the neutral form.

A thought is sent only with what proves it to this upstream: nobody else's can be read there, nor one
that nothing proves. `CachePoint` is a hint and left out: OpenAI caches by itself.
"""

from collections.abc import Iterable, Sequence

from meshgate.dialects import signatures
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
from meshgate.dialects.openai_chat import data_uri
from meshgate.dialects.openai_responses import annotations, thought

Item = dict[str, object]

_SPOKEN: dict[Role, tuple[type[Part], ...]] = {
    Role.SYSTEM: (Text,),
    Role.USER: (Text, Image, Audio, File),
    Role.ASSISTANT: (Text, Refusal, Reasoning, ToolCall),
    Role.TOOL: (ToolResult,),
}


def write(messages: Sequence[Message]) -> list[Item]:
    """Write the messages.

    Raises:
        UnsupportedError: A part cannot stand in a message of its role here.
    """
    custom = frozenset(_custom_calls(messages))
    written: list[Item] = []
    for at, message in enumerate(messages):
        if message.speaker_name:
            raise unsupported(f"messages[{at}].name")
        parts = [part for part in message.parts if not isinstance(part, CachePoint)]
        for number, part in enumerate(message.parts):
            _check(part, message.role, f"messages[{at}].parts[{number}]")
        written += _items(message.role, parts, custom)
    return written


def _check(part: Part, role: Role, at: str) -> None:
    """Refuse what cannot stand in a message of this role, or not as it is asked for."""
    if not isinstance(part, (*_SPOKEN[role], CachePoint)):
        raise unsupported(f"{at}.{_name_of(part)}")
    for it in part.content if isinstance(part, ToolResult) else (part,):
        if isinstance(it, File) and it.is_cited:
            raise unsupported(f"{at}.file.is_cited")


def _custom_calls(messages: Iterable[Message]) -> Iterable[str]:
    """The ids of the calls of custom tools: their results are told apart here."""
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall) and part.is_custom:
                yield part.id


def _items(role: Role, parts: Sequence[Part], custom: frozenset[str]) -> list[Item]:
    if role is Role.ASSISTANT:
        return _said(parts)
    if role is Role.TOOL:
        return [_result(part, custom) for part in parts if isinstance(part, ToolResult)]
    return [{"type": "message", "role": role.value, "content": [_part(part) for part in parts]}]


def _said(parts: Sequence[Part]) -> list[Item]:
    """What the model said: texts next to each other are one item."""
    items: list[Item] = []
    content: list[Item] = []
    for part in parts:
        if isinstance(part, Text | Refusal):
            if not content:
                items.append({"type": "message", "role": "assistant", "content": content})
            content.append(_spoken(part))
            continue
        content = []
        if isinstance(part, ToolCall):
            items.append(_call(part))
        elif isinstance(part, Reasoning) and _is_readable(part):
            items.append(_thought(part))
    return items


def _is_readable(part: Reasoning) -> bool:
    return bool(part.signature) and signatures.is_for(part.origin, thought.DIALECT)


def _spoken(part: Text | Refusal) -> Item:
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    cited = [annotations.write(citation, len(part.text)) for citation in part.citations]
    return {"type": "output_text", "text": part.text, "annotations": cited}


def _thought(part: Reasoning) -> Item:
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    item: Item = {"type": "reasoning", "summary": summary}
    if part.id:
        item["id"] = part.id
    item["encrypted_content"] = part.signature.decode(errors="replace")
    return item


def _call(call: ToolCall) -> Item:
    common = {"call_id": call.id, "name": call.name}
    if call.is_custom:
        return {"type": "custom_tool_call", **common, "input": call.arguments_json}
    return {"type": "function_call", **common, "arguments": call.arguments_json}


def _result(result: ToolResult, custom: frozenset[str]) -> Item:
    """A tool's result. That it failed can only be said as a status here."""
    is_custom = result.tool_call_id in custom
    item: Item = {
        "type": "custom_tool_call_output" if is_custom else "function_call_output",
        "call_id": result.tool_call_id,
        "output": _output(result.content),
    }
    if result.is_error and not is_custom:
        item["status"] = "incomplete"
    return item


def _output(content: Sequence[Text | Image | File]) -> str | list[Item]:
    if all(isinstance(part, Text) for part in content) and len(content) <= 1:
        return "".join(part.text for part in content if isinstance(part, Text))
    return [_part(part) for part in content]


def _part(part: Part) -> Item:
    match part:
        case Text():
            return {"type": "input_text", "text": part.text}
        case Image():
            return _image(part)
        case Audio():
            sound = {"data": data_uri.encode(part.data), "format": part.format}
            return {"type": "input_audio", "input_audio": sound}
        case File():
            return _file(part)
        case _:
            raise unsupported(_name_of(part))


def _image(image: Image) -> Item:
    written: Item = {"type": "input_image"}
    if image.file_id:
        written["file_id"] = image.file_id
    else:
        written["image_url"] = image.uri or data_uri.write(image.data, image.media_type)
    if image.detail:
        written["detail"] = image.detail
    return written


def _file(file: File) -> Item:
    written: Item = {"type": "input_file"}
    if file.file_id:
        written["file_id"] = file.file_id
    elif file.uri:
        written["file_url"] = file.uri
    elif file.media_type:
        written["file_data"] = data_uri.write(file.data, file.media_type)
    else:
        written["file_data"] = data_uri.encode(file.data)
    if file.filename:
        written["filename"] = file.filename
    return written


def _name_of(part: Part) -> str:
    names: dict[type[Part], str] = {ToolCall: "tool_call", ToolResult: "tool_result"}
    return names.get(type(part), type(part).__name__.lower())
