"""Messages and their parts, between protobuf and the neutral form."""

from collections.abc import Iterable

from meshgate.dialects.neutral import (
    Audio,
    CachePoint,
    ExpressedPart,
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
        parts=[_written(part) for part in message.parts if not isinstance(part, CachePoint)],
        name=message.name,
    )


def _part(part: pb.Part, at: str) -> Part:
    match part.WhichOneof("kind"):
        case "text":
            return Text(part.text)
        case "refusal":
            return Refusal(part.refusal)
        case "tool_call":
            return _tool_call(part.tool_call, f"{at}.tool_call")
        case "tool_result":
            result = part.tool_result
            return ToolResult(tool_call_id=result.tool_call_id, content=(Text(result.text),))
        case "reasoning":
            return Reasoning(text=part.reasoning.text, signature=part.reasoning.signature)
        case _:
            return _medium(part, at)


def _medium(part: pb.Part, at: str) -> Part:
    match part.WhichOneof("kind"):
        case "image":
            return _image(part.image, f"{at}.image")
        case "audio":
            if not part.audio.data:
                raise _invalid(f"{at}.audio.data", "must be given")
            return Audio(data=part.audio.data, format=part.audio.format)
        case "file":
            return _file(part.file, f"{at}.file")
        case _:
            raise _invalid(at, "must have a kind")


def _tool_call(call: pb.ToolCall, at: str) -> ToolCall:
    try:
        arguments = call.arguments_json.decode()
    except UnicodeDecodeError as error:
        raise _invalid(f"{at}.arguments_json", "must be UTF-8") from error
    return ToolCall(id=call.id, name=call.name, arguments_json=arguments)


def _image(image: pb.Image, at: str) -> Image:
    if bool(image.uri) == bool(image.data):
        raise _invalid(at, "must have exactly one of uri and data")
    if image.data and not image.media_type:
        raise _invalid(f"{at}.media_type", "must be given with data")
    _check_media_type(image.media_type, f"{at}.media_type")
    return Image(uri=image.uri, data=image.data, media_type=image.media_type, detail=image.detail)


def _file(file: pb.File, at: str) -> File:
    if bool(file.file_id) == bool(file.data):
        raise _invalid(at, "must have exactly one of data and file_id")
    if file.data and not file.media_type:
        raise _invalid(f"{at}.media_type", "must be given with data")
    _check_media_type(file.media_type, f"{at}.media_type")
    return File(
        data=file.data,
        file_id=file.file_id,
        filename=file.filename,
        media_type=file.media_type,
    )


def _check_media_type(media_type: str, at: str) -> None:
    # Others would not survive within a `data:` URI.
    if any(sign in media_type for sign in ";, \r\n"):
        raise _invalid(at, "must be a media type without parameters")


def _invalid(field: str, rule: str) -> InvalidRequestError:
    return InvalidRequestError(f"{field} {rule}", field=field)


def _written(part: ExpressedPart) -> pb.Part:
    match part:
        case Text():
            return pb.Part(text=part.text)
        case Refusal():
            return pb.Part(refusal=part.text)
        case Reasoning():
            return pb.Part(reasoning=pb.Reasoning(text=part.text, signature=part.signature))
        case ToolCall():
            arguments = part.arguments_json.encode()
            call = pb.ToolCall(id=part.id, name=part.name, arguments_json=arguments)
            return pb.Part(tool_call=call)
        case ToolResult():
            result = pb.ToolResult(tool_call_id=part.tool_call_id, text=part.text)
            return pb.Part(tool_result=result)
        case _:
            return _written_medium(part)


def _written_medium(part: Image | Audio | File) -> pb.Part:
    match part:
        case Image():
            image = pb.Image(
                uri=part.uri, data=part.data, media_type=part.media_type, detail=part.detail
            )
            return pb.Part(image=image)
        case Audio():
            return pb.Part(audio=pb.Audio(data=part.data, format=part.format))
        case File():
            file = pb.File(
                data=part.data,
                file_id=part.file_id,
                filename=part.filename,
                media_type=part.media_type,
            )
            return pb.Part(file=file)
