"""Messages and their parts, between protobuf and the neutral form."""

from collections.abc import Iterable, Sequence

from meshgate.dialects.neutral import (
    Audio,
    CachePoint,
    Citation,
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
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import chat_pb2 as pb

_ROLES = {
    pb.ROLE_SYSTEM: Role.SYSTEM,
    pb.ROLE_USER: Role.USER,
    pb.ROLE_ASSISTANT: Role.ASSISTANT,
    pb.ROLE_TOOL: Role.TOOL,
}
_ROLE_VALUES = {role: value for value, role in _ROLES.items()}


def read(messages: Iterable[pb.Message]) -> tuple[Message, ...]:
    """Read messages.

    Raises:
        InvalidRequestError: One breaks a rule that its proto states.
    """
    return tuple(read_message(message, f"messages[{at}]") for at, message in enumerate(messages))


def read_message(message: pb.Message, at: str) -> Message:
    """Read one message, whose path is `at`.

    Raises:
        InvalidRequestError: It breaks a rule that its proto states.
    """
    role = _ROLES.get(message.role)
    if role is None:
        raise _invalid(f"{at}.role", "must be one of those that are specified")
    parts = tuple(_part(part, f"{at}.parts[{number}]") for number, part in enumerate(message.parts))
    if role is Role.TOOL and not all(isinstance(part, ToolResult) for part in parts):
        raise _invalid(f"{at}.parts", "must be tool results in a message of a tool")
    return Message(role=role, parts=parts, name=message.name)


def write_message(message: Message) -> pb.Message:
    """Write one message."""
    return pb.Message(
        role=_ROLE_VALUES[message.role],
        parts=[_written(part) for part in message.parts],
        name=message.name,
    )


def read_result(result: pb.ToolResult, at: str) -> ToolResult:
    """Read what a tool gave back, whose path is `at`.

    Raises:
        InvalidRequestError: It breaks a rule that its proto states.
    """
    if result.text and result.content:
        raise _invalid(at, "must have at most one of text and content")
    content: list[Text | Image | File] = [Text(result.text)] if result.text else []
    for number, part in enumerate(result.content):
        read = _part(part, f"{at}.content[{number}]")
        if not isinstance(read, Text | Image | File):
            raise _invalid(f"{at}.content[{number}]", "must be a text, an image or a file")
        content.append(read)
    return ToolResult(
        tool_call_id=result.tool_call_id, content=tuple(content), is_error=result.failed
    )


def read_citation(citation: pb.Citation) -> Citation:
    """Read where an answer has something from."""
    return Citation(
        uri=citation.uri,
        title=citation.title,
        quoted=citation.quoted,
        document=citation.document if citation.HasField("document") else None,
        start=citation.start if citation.HasField("start") else None,
        end=citation.end if citation.HasField("end") else None,
    )


def write_citation(citation: Citation) -> pb.Citation:
    """Write where an answer has something from."""
    return pb.Citation(
        uri=citation.uri,
        title=citation.title,
        quoted=citation.quoted,
        document=citation.document,
        start=citation.start,
        end=citation.end,
    )


def _part(part: pb.Part, at: str) -> Part:
    kind = part.WhichOneof("kind")
    if part.citations and kind != "text":
        raise _invalid(f"{at}.citations", "must be given with text only")
    match kind:
        case "text":
            return Text(part.text, tuple(map(read_citation, part.citations)))
        case "refusal":
            return Refusal(part.refusal)
        case "tool_call":
            return _tool_call(part.tool_call, f"{at}.tool_call")
        case "tool_result":
            return read_result(part.tool_result, f"{at}.tool_result")
        case "reasoning":
            return _reasoning(part.reasoning)
        case _:
            return _wordless(part, at)


def _wordless(part: pb.Part, at: str) -> Part:
    match part.WhichOneof("kind"):
        case "image":
            return _image(part.image, f"{at}.image")
        case "audio":
            if not part.audio.data:
                raise _invalid(f"{at}.audio.data", "must be given")
            return Audio(data=part.audio.data, format=part.audio.format)
        case "file":
            return _file(part.file, f"{at}.file")
        case "cache_point":
            return CachePoint(ttl=part.cache_point.ttl)
        case _:
            raise _invalid(at, "must have a kind")


def _tool_call(call: pb.ToolCall, at: str) -> ToolCall:
    try:
        arguments = call.arguments_json.decode()
    except UnicodeDecodeError as error:
        raise _invalid(f"{at}.arguments_json", "must be UTF-8") from error
    return ToolCall(id=call.id, name=call.name, arguments_json=arguments, is_custom=call.custom)


def _reasoning(reasoning: pb.Reasoning) -> Reasoning:
    return Reasoning(
        text=reasoning.text,
        signature=reasoning.signature,
        origin=reasoning.origin,
        is_redacted=reasoning.redacted,
        id=reasoning.id,
    )


def _image(image: pb.Image, at: str) -> Image:
    _check_one(at, uri=image.uri, data=image.data, file_id=image.file_id)
    if image.data and not image.media_type:
        raise _invalid(f"{at}.media_type", "must be given with data")
    _check_media_type(image.media_type, f"{at}.media_type")
    return Image(
        uri=image.uri,
        data=image.data,
        file_id=image.file_id,
        media_type=image.media_type,
        detail=image.detail,
    )


def _file(file: pb.File, at: str) -> File:
    _check_one(at, data=file.data, uri=file.uri, file_id=file.file_id)
    if file.data and not file.media_type:
        raise _invalid(f"{at}.media_type", "must be given with data")
    _check_media_type(file.media_type, f"{at}.media_type")
    return File(
        data=file.data,
        uri=file.uri,
        file_id=file.file_id,
        filename=file.filename,
        media_type=file.media_type,
        is_cited=file.cited,
    )


def _check_one(at: str, **sources: str | bytes) -> None:
    if sum(map(bool, sources.values())) != 1:
        raise _invalid(at, f"must have exactly one of {', '.join(sources)}")


def _check_media_type(media_type: str, at: str) -> None:
    # Others would not survive within a `data:` URI.
    if any(sign in media_type for sign in ";, \r\n"):
        raise _invalid(at, "must be a media type without parameters")


def _invalid(field: str, rule: str) -> InvalidRequestError:
    return InvalidRequestError(f"{field} {rule}", field=field)


def _written(part: Part) -> pb.Part:
    match part:
        case Text():
            return pb.Part(text=part.text, citations=map(write_citation, part.citations))
        case Refusal():
            return pb.Part(refusal=part.text)
        case Reasoning():
            return pb.Part(reasoning=_written_reasoning(part))
        case ToolCall():
            return pb.Part(tool_call=_written_call(part))
        case ToolResult():
            return pb.Part(tool_result=_written_result(part))
        case _:
            return _written_wordless(part)


def _written_call(call: ToolCall) -> pb.ToolCall:
    arguments = call.arguments_json.encode()
    return pb.ToolCall(id=call.id, name=call.name, arguments_json=arguments, custom=call.is_custom)


def _written_reasoning(reasoning: Reasoning) -> pb.Reasoning:
    return pb.Reasoning(
        text=reasoning.text,
        signature=reasoning.signature,
        origin=reasoning.origin,
        redacted=reasoning.is_redacted,
        id=reasoning.id,
    )


def _written_result(result: ToolResult) -> pb.ToolResult:
    written = pb.ToolResult(tool_call_id=result.tool_call_id, failed=result.is_error)
    if _is_plain(result.content):
        written.text = result.text
    else:
        written.content.extend(map(_written, result.content))
    return written


def _is_plain(content: Sequence[Text | Image | File]) -> bool:
    """Whether it is one text that says something, and nothing else."""
    match content:
        case (Text(text, ()),):
            return bool(text)
        case _:
            return False


def _written_wordless(part: Image | Audio | File | CachePoint) -> pb.Part:
    match part:
        case Image():
            image = pb.Image(
                uri=part.uri,
                data=part.data,
                file_id=part.file_id,
                media_type=part.media_type,
                detail=part.detail,
            )
            return pb.Part(image=image)
        case Audio():
            return pb.Part(audio=pb.Audio(data=part.data, format=part.format))
        case CachePoint():
            return pb.Part(cache_point=pb.CachePoint(ttl=part.ttl))
        case File():
            file = pb.File(
                data=part.data,
                uri=part.uri,
                file_id=part.file_id,
                filename=part.filename,
                media_type=part.media_type,
                cited=part.is_cited,
            )
            return pb.Part(file=file)
