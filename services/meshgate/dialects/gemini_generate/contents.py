"""The contents of a request, written from the neutral form.

All that the system says goes into the system instruction, wherever in the conversation it stands.
Thoughts that another provider has signed are left out, as Gemini cannot read them; a refusal is what
the model said in its turn. Turns of the model, and results, that follow each other become one content:
Gemini wants the results of one turn's calls together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import msgspec
from msgspec import Raw

from meshgate.dialects.gemini_generate import media
from meshgate.dialects.gemini_generate.signed_thoughts import UNSIGNED, encoded, is_own
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
from meshgate.runtime.errors import InvalidRequestError

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_JOINED = frozenset({Role.ASSISTANT, Role.TOOL})
_OUTCOMES = frozenset({"output", "error"})


def write_instruction(messages: Iterable[Message]) -> dict[str, object] | None:
    """Write what the system says; None where it says nothing.

    Raises:
        UnsupportedError: It is more than text.
    """
    texts: list[dict[str, object]] = []
    for at, message in enumerate(messages):
        if message.role is Role.SYSTEM:
            texts += _instructions(message, f"messages[{at}]")
    return {"parts": texts} if texts else None


def write(messages: Sequence[Message], *, signs_calls: bool) -> list[dict[str, object]]:
    """Write the rest of the conversation.

    Args:
        messages: All of it.
        signs_calls: Whether the model wants a signature at the first call of each of its turns.

    Raises:
        InvalidRequestError: A result has no call, or the arguments of one are no object.
        UnsupportedError: A part cannot stand in a message of its role here.
    """
    names: dict[str, str] = {}
    written: list[dict[str, object]] = []
    numbered = [item for item in enumerate(messages) if item[1].role is not Role.SYSTEM]
    for (role, _), turn in groupby(numbered, _turn_of):
        parts: list[dict[str, object]] = []
        for at, message in turn:
            parts += _parts(message, f"messages[{at}]", names)
        if role is Role.ASSISTANT and signs_calls:
            _sign_first_call(parts)
        if parts:
            written.append({"role": "model" if role is Role.ASSISTANT else "user", "parts": parts})
    return written


def _turn_of(numbered: tuple[int, Message]) -> tuple[Role, int]:
    """What messages of one content have in common."""
    at, message = numbered
    return message.role, -1 if message.role in _JOINED else at


def _instructions(message: Message, at: str) -> Iterator[dict[str, object]]:
    _check_name(message, at)
    for number, part in enumerate(message.parts):
        if isinstance(part, Text):
            yield {"text": part.text}
        elif not isinstance(part, CachePoint):
            raise unsupported(f"{at}.parts[{number}]")


def _parts(message: Message, at: str, names: dict[str, str]) -> Iterator[dict[str, object]]:
    _check_name(message, at)
    if message.role is Role.ASSISTANT:
        yield from _model_parts(message.parts, at, names)
    elif message.role is Role.TOOL:
        for number, part in enumerate(message.parts):
            if not isinstance(part, CachePoint):
                yield _result(part, f"{at}.parts[{number}]", names)
    else:
        yield from _user_parts(message.parts, at)


def _user_parts(parts: Sequence[Part], at: str) -> Iterator[dict[str, object]]:
    for number, part in enumerate(parts):
        where = f"{at}.parts[{number}]"
        match part:
            case Text(text):
                yield {"text": text}
            case Image() | Audio() | File():
                yield _medium(part, where)
            case CachePoint():
                pass
            case _:
                raise unsupported(where)


def _medium(part: Image | Audio | File, at: str) -> dict[str, object]:
    match part:
        case Image():
            return media.write_image(part, at)
        case Audio():
            return media.write_audio(part)
        case File():
            return media.write_document(part, at)


def _model_parts(
    parts: Sequence[Part], at: str, names: dict[str, str]
) -> Iterator[dict[str, object]]:
    """What the model said; a signature goes to the part after the thought that bears it."""
    signature = b""
    for number, part in enumerate(parts):
        if isinstance(part, Reasoning):
            if signature and part.signature:
                yield _signed({"text": ""}, signature)
                signature = b""
            thought, own = _thought(part)
            yield from thought
            signature = own or signature
        elif (written := _said(part, f"{at}.parts[{number}]", names)) is not None:
            yield _signed(written, signature)
            signature = b""
    if signature:
        yield _signed({"text": ""}, signature)


def _thought(part: Reasoning) -> tuple[list[dict[str, object]], bytes]:
    """The part that a thought is, if it is any here, and the signature that it leaves behind."""
    if part.signature and not is_own(part):
        return [], b""
    written: list[dict[str, object]] = [{"text": part.text, "thought": True}] if part.text else []
    return written, part.signature


def _signed(part: dict[str, object], signature: bytes) -> dict[str, object]:
    return {**part, "thoughtSignature": encoded(signature)} if signature else part


def _said(part: Part, at: str, names: dict[str, str]) -> dict[str, object] | None:
    match part:
        case Text(text) | Refusal(text):
            return {"text": text} if text else None
        case ToolCall():
            names[part.id] = part.name
            return {"functionCall": _call(part, at)}
        case Image():
            return media.write_image(part, at)
        case CachePoint():
            return None
        case _:
            raise unsupported(at)


def _call(call: ToolCall, at: str) -> dict[str, object]:
    if call.is_custom:
        raise unsupported(f"{at}.tool_call.is_custom")
    args = object_of(call.arguments_json or "{}")
    if args is None:
        field = f"{at}.tool_call.arguments_json"
        raise InvalidRequestError(f"'{field}' is no JSON object.", field=field)
    identity = {"id": call.id} if call.id else {}
    return {**identity, "name": call.name, "args": args}


def _result(part: Part, at: str, names: Mapping[str, str]) -> dict[str, object]:
    if not isinstance(part, ToolResult):
        raise unsupported(at)
    name = names.get(part.tool_call_id)
    if name is None:
        raise InvalidRequestError(
            f"'{at}' is the result of a call that is not in the conversation.", field=at
        )
    written: dict[str, object] = {
        "id": part.tool_call_id,
        "name": name,
        "response": _outcome(part.text, is_error=part.is_error),
    }
    media_parts = [_medium(it, at) for it in part.content if not isinstance(it, Text)]
    if media_parts:
        written["parts"] = media_parts
    return {"functionResponse": written}


def _outcome(text: str, *, is_error: bool) -> object:
    """An object as it is, unless it would be taken for what it is not; else a text by Google's word."""
    if is_error:
        return {"error": text}
    members = object_of(text)
    if members is None or _OUTCOMES & members.keys():
        return {"output": text}
    return Raw(text.encode())


def object_of(text: str) -> dict[str, Raw] | None:
    """The members of a JSON object; None for what is none."""
    try:
        return _MEMBERS.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _sign_first_call(parts: list[dict[str, object]]) -> None:
    """Say of the first call, where it is not signed, that Gemini has not made it."""
    for part in parts:
        if "functionCall" in part:
            part.setdefault("thoughtSignature", UNSIGNED)
            return


def _check_name(message: Message, at: str) -> None:
    if message.speaker_name:
        raise unsupported(f"{at}.name")
