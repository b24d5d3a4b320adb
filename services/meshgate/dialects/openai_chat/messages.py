"""The messages of a chat completion request, written from the neutral form."""

from collections.abc import Iterable, Sequence

from meshgate.dialects.neutral import (
    Audio,
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

_SPOKEN: dict[Role, tuple[type[Part], ...]] = {
    Role.SYSTEM: (Text,),
    Role.USER: (Text, Image, Audio, File),
    Role.ASSISTANT: (Text, Refusal, Reasoning, ToolCall),
    Role.TOOL: (ToolResult,),
}


def write(messages: Iterable[Message]) -> list[dict[str, object]]:
    """Write the messages.

    Raises:
        UnsupportedError: A part cannot stand in a message of its role here.
    """
    written: list[dict[str, object]] = []
    for at, message in enumerate(messages):
        _check(message, f"messages[{at}]")
        if message.role is Role.TOOL:
            written += _tool_results(message)
        elif message.role is Role.ASSISTANT:
            written.append(_named(message, write_assistant(message.parts)))
        else:
            content = _content(message.parts)
            written.append(_named(message, {"role": message.role.value, "content": content}))
    return written


def write_assistant(parts: Sequence[Part]) -> dict[str, object]:
    """Write what the model said.

    Here thoughts, texts and calls have places of their own: their order among each other is not
    kept, and several thoughts become one.
    """
    written: dict[str, object] = {"role": "assistant"}
    thoughts = [part.text for part in parts if isinstance(part, Reasoning)]
    if thoughts:
        # OpenAI itself keeps these to itself; the name is DeepSeek's and vLLM's.
        written["reasoning_content"] = "\n\n".join(thoughts)
    spoken = [part for part in parts if isinstance(part, Text | Refusal)]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    if len(spoken) == 1 and isinstance(spoken[0], Refusal):
        written |= {"content": None, "refusal": spoken[0].text}
    else:
        written["content"] = _content(spoken) if spoken or not calls else None
    if calls:
        written["tool_calls"] = [_tool_call(call) for call in calls]
    return written


def _check(message: Message, at: str) -> None:
    for number, part in enumerate(message.parts):
        if not isinstance(part, _SPOKEN[message.role]):
            raise unsupported(f"{at}.parts[{number}].{_name_of(part)}")
        if isinstance(part, Reasoning) and part.signature:
            raise unsupported(f"{at}.parts[{number}].reasoning.signature")


def _name_of(part: Part) -> str:
    names: dict[type[Part], str] = {ToolCall: "tool_call", ToolResult: "tool_result"}
    return names.get(type(part), type(part).__name__.lower())


def _named(message: Message, written: dict[str, object]) -> dict[str, object]:
    if message.name:
        written["name"] = message.name
    return written


def _tool_results(message: Message) -> list[dict[str, object]]:
    return [
        _named(
            message,
            {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.text},
        )
        for part in message.parts
        if isinstance(part, ToolResult)
    ]


def _content(parts: Sequence[Part]) -> str | list[dict[str, object]]:
    # Some servers understand texts only where they are not in a list.
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return [_part(part) for part in parts]


def _part(part: Part) -> dict[str, object]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Refusal():
            return {"type": "refusal", "refusal": part.text}
        case Image():
            return {"type": "image_url", "image_url": _image(part)}
        case Audio():
            sound = {"data": data_uri.encode(part.data), "format": part.format}
            return {"type": "input_audio", "input_audio": sound}
        case File():
            return {"type": "file", "file": _file(part)}
        case _:
            raise unsupported(_name_of(part))


def _image(image: Image) -> dict[str, object]:
    written: dict[str, object] = {"url": image.uri or data_uri.write(image.data, image.media_type)}
    if image.detail:
        written["detail"] = image.detail
    return written


def _file(file: File) -> dict[str, object]:
    written: dict[str, object] = {}
    if file.file_id:
        written["file_id"] = file.file_id
    elif file.media_type:
        written["file_data"] = data_uri.write(file.data, file.media_type)
    else:
        written["file_data"] = data_uri.encode(file.data)
    if file.filename:
        written["filename"] = file.filename
    return written


def _tool_call(call: ToolCall) -> dict[str, object]:
    function = {"name": call.name, "arguments": call.arguments_json}
    return {"id": call.id, "type": "function", "function": function}
