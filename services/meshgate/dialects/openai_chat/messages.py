"""The messages of a chat completion request, written from the neutral form.

Left out are hints (`CachePoint`), what earlier answers cited, which was for the reader, and thoughts
that the upstream has no place for or cannot read: they are the model's own aid. That a tool has
failed is told in words, as nothing else in a message of a tool can tell it.
"""

from collections.abc import Iterable, Sequence

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
from meshgate.dialects.openai_chat import data_uri, thoughts
from meshgate.dialects.openai_chat.variant import ThoughtPlace, ThoughtTime, Variant

_SPOKEN: dict[Role, tuple[type[Part], ...]] = {
    Role.SYSTEM: (Text,),
    Role.USER: (Text, Image, Audio, File),
    Role.ASSISTANT: (Text, Refusal, Reasoning, ToolCall),
    Role.TOOL: (ToolResult,),
}
_FAILED = "Error: "


def write(messages: Iterable[Message], variant: Variant) -> list[dict[str, object]]:
    """Write the messages.

    Raises:
        UnsupportedError: A part cannot stand in a message of its role here.
    """
    written: list[dict[str, object]] = []
    for at, message in enumerate(messages):
        parts = _checked(message, f"messages[{at}]", variant)
        if message.role is Role.TOOL:
            written += _tool_results(message, variant)
        elif message.role is Role.ASSISTANT:
            told = write_assistant(parts) | write_thoughts(parts, variant)
            written.append(_named(message, told, variant))
        else:
            told = {"role": message.role.value, "content": _content(parts)}
            written.append(_named(message, told, variant))
    return written


def write_assistant(parts: Sequence[Part]) -> dict[str, object]:
    """Write what the model said aloud, and what it called.

    Here thoughts, texts and calls have places of their own: their order among each other is not
    kept.
    """
    written: dict[str, object] = {"role": "assistant"}
    spoken = [part for part in parts if isinstance(part, Text | Refusal)]
    calls = write_calls(parts)
    if len(spoken) == 1 and isinstance(spoken[0], Refusal):
        written |= {"content": None, "refusal": spoken[0].text}
    else:
        written["content"] = _content(spoken) if spoken or not calls else None
    if calls:
        written["tool_calls"] = calls
    return written


def write_calls(parts: Sequence[Part]) -> list[dict[str, object]]:
    """Write the tool calls, each with the proof that stands before it."""
    calls: list[dict[str, object]] = []
    before: Part | None = None
    for part in parts:
        if isinstance(part, ToolCall):
            proof = (
                before if isinstance(before, Reasoning) and thoughts.proves_call(before) else None
            )
            calls.append(_tool_call(part) | (thoughts.write_call_proof(proof) if proof else {}))
        before = part
    return calls


def thoughts_of(parts: Sequence[Part]) -> list[Reasoning]:
    """The thoughts among the parts, without the proofs of tool calls."""
    found: list[Reasoning] = []
    after: Part | None = None
    for part in reversed(parts):
        is_proof = isinstance(after, ToolCall)
        if isinstance(part, Reasoning) and not (is_proof and thoughts.proves_call(part)):
            found.append(part)
        after = part
    return found[::-1]


def write_thoughts(parts: Sequence[Part], variant: Variant) -> dict[str, object]:
    """Write what the model thought, where and if the upstream wants to have it."""
    found = thoughts_of(parts)
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    if variant.thoughts_sent is ThoughtTime.WITH_TOOL_CALLS and not has_calls:
        return {}
    if variant.thoughts is ThoughtPlace.REASONING_DETAILS:
        details = thoughts.write([it for it in found if thoughts.is_readable(it)])
        return {"reasoning_details": details} if details else {}
    texts = [thought.text for thought in found if thought.text]
    if not texts or variant.thoughts is ThoughtPlace.NOWHERE:
        return {}
    return {variant.thoughts.value: "\n\n".join(texts)}


def _checked(message: Message, at: str, variant: Variant) -> list[Part]:
    """The parts that are written.

    Raises:
        UnsupportedError: One of them cannot stand there.
    """
    if message.speaker_name and not variant.speaker_names:
        raise unsupported(f"{at}.name")
    for number, part in enumerate(message.parts):
        where = f"{at}.parts[{number}]"
        if not isinstance(part, (*_SPOKEN[message.role], CachePoint)):
            raise unsupported(f"{where}.{_name_of(part)}")
        if isinstance(part, ToolResult):
            _check_result(part, f"{where}.tool_result", variant)
        elif isinstance(part, ToolCall) and part.is_custom and not variant.custom_tools:
            raise unsupported(f"{where}.tool_call.custom")
        else:
            _check_source(part, where)
    return [
        part
        for part in message.parts
        if not (isinstance(part, CachePoint) or _is_foreign_proof(part))
    ]


def _is_foreign_proof(part: Part) -> bool:
    if not isinstance(part, Reasoning) or thoughts.is_readable(part):
        return False
    return not part.text


def _check_source(part: Part, where: str) -> None:
    """Whether a picture or a document can be had from where it is."""
    match part:
        case Image(file_id=file_id) if file_id:
            raise unsupported(f"{where}.image.file_id")
        case File(uri=uri) if uri:
            raise unsupported(f"{where}.file.uri")
        case File(is_cited=True):
            raise unsupported(f"{where}.file.cited")


def _check_result(result: ToolResult, where: str, variant: Variant) -> None:
    for number, part in enumerate(result.content):
        at = f"{where}.content[{number}]"
        if not isinstance(part, Text) and not variant.pictures_in_results:
            raise unsupported(f"{at}.{_name_of(part)}")
        _check_source(part, at)


def _name_of(part: Part) -> str:
    names: dict[type[Part], str] = {ToolCall: "tool_call", ToolResult: "tool_result"}
    return names.get(type(part), type(part).__name__.lower())


def _named(message: Message, written: dict[str, object], variant: Variant) -> dict[str, object]:
    if message.name and variant.speaker_names:
        written["name"] = message.name
    return written


def _tool_results(message: Message, variant: Variant) -> list[dict[str, object]]:
    return [
        _named(
            message,
            {"role": "tool", "tool_call_id": part.tool_call_id, "content": _result(part)},
            variant,
        )
        for part in message.parts
        if isinstance(part, ToolResult)
    ]


def _result(result: ToolResult) -> str | list[dict[str, object]]:
    is_told = not result.is_error or result.text.lower().startswith("error")
    if all(isinstance(part, Text) for part in result.content):
        return result.text if is_told else _FAILED + result.text
    return _content(result.content if is_told else (Text(_FAILED), *result.content))


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
    if call.is_custom:
        custom = {"name": call.name, "input": call.arguments_json}
        return {"id": call.id, "type": "custom", "custom": custom}
    function = {"name": call.name, "arguments": call.arguments_json}
    return {"id": call.id, "type": "function", "function": function}
