"""The contents of a request, read into the neutral form.

Gemini's calls of functions need no ids: results find their calls by name and order then, and the calls
get ids of their place. Results become messages of their own. Turns of the model that follow one
another are one message, and a text that goes on from one to the next is one text: Google's SDK keeps
each chunk of a stream as a turn.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeAlias

import msgspec
from msgspec import Raw

from meshgate.dialects.gemini_generate import media, signed_thoughts
from meshgate.dialects.gemini_generate.wire import Content, FunctionResponse, Part
from meshgate.dialects.neutral import (
    Audio,
    File,
    Image,
    Message,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from meshgate.dialects.neutral import Part as NeutralPart
from meshgate.dialects.openai_api.request_body import missing, unsupported
from meshgate.runtime.errors import InvalidRequestError

_Given: TypeAlias = Text | Image | Audio | File | ToolResult

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_STRING = msgspec.json.Decoder(str)
_SAYING = ("text", "inline_data", "file_data", "function_call", "function_response")


class OpenCalls:
    """The calls of a conversation that wait for their results, in order."""

    def __init__(self) -> None:
        self._open: list[tuple[str, str]] = []
        self._ids: set[str] = set()

    def begin(self, name: str, given: str | None) -> str:
        """Take note of a call; its id, made of its place where none is given."""
        number = len(self._ids)
        made = given or f"call_{number}"
        while not given and made in self._ids:
            number += 1
            made = f"call_{number}"
        self._ids.add(made)
        self._open.append((made, name))
        return made

    def end(self, name: str, given: str | None, at: str) -> str:
        """The id of the call that a result is for.

        Raises:
            InvalidRequestError: There is none.
        """
        for call in self._open:
            if given == call[0] or (not given and name == call[1]):
                self._open.remove(call)
                return call[0]
        if given:
            return given
        raise InvalidRequestError(
            f"'{at}' has no functionCall of its name before it.", field=f"{at}.name"
        )


def read(contents: Sequence[Content]) -> tuple[Message, ...]:
    """Read the contents.

    Raises:
        InvalidRequestError: One breaks a rule of the API.
        UnsupportedError: The neutral form cannot express one.
    """
    calls = OpenCalls()
    messages: list[Message] = []
    for is_said, turns in groupby(enumerate(contents), lambda turn: turn[1].role == "model"):
        if is_said:
            parts = tuple(_model_parts(_said_parts(turns), calls))
            messages.append(Message(role=Role.ASSISTANT, parts=parts))
            continue
        for at, content in turns:
            _check_role(content.role, f"contents[{at}].role")
            messages += _given_messages(content.parts or (), calls, f"contents[{at}].parts")
    return tuple(messages)


def _check_role(role: str | None, at: str) -> None:
    if role not in {None, "", "user", "function"}:
        raise InvalidRequestError(f"Invalid value for '{at}': expected user or model.", field=at)


def read_instruction(content: Content | None) -> tuple[Message, ...]:
    """Read the system instruction.

    Raises:
        UnsupportedError: It is more than text.
    """
    if content is None:
        return ()
    texts = []
    for number, part in enumerate(content.parts or ()):
        if part.text is None:
            raise unsupported(f"systemInstruction.parts[{number}]")
        texts.append(Text(part.text))
    return (Message(role=Role.SYSTEM, parts=tuple(texts)),) if texts else ()


def _given_messages(parts: Sequence[Part], calls: OpenCalls, at: str) -> Iterator[Message]:
    """What is said to the model: results by themselves, as messages of tools."""
    given = [_given(part, calls, f"{at}[{number}]") for number, part in enumerate(parts)]
    for are_results, group in groupby(given, lambda part: isinstance(part, ToolResult)):
        yield Message(role=Role.TOOL if are_results else Role.USER, parts=tuple(group))


def _given(part: Part, calls: OpenCalls, at: str) -> _Given:
    _check(part, at)
    if part.function_call is not None or part.thought:
        raise unsupported(f"{at}.functionCall" if part.function_call else f"{at}.thought")
    if part.function_response is not None:
        return _result(part.function_response, calls, f"{at}.functionResponse")
    if part.text is not None:
        return Text(part.text)
    return _medium(part, at)


def _medium(part: Part, at: str) -> Image | Audio | File:
    if part.inline_data is not None:
        medium = media.read_blob(part.inline_data, f"{at}.inlineData")
    elif part.file_data is not None:
        medium = media.read_file(part.file_data, f"{at}.fileData")
    else:
        raise missing(f"{at}.text")
    level = part.media_resolution.level if part.media_resolution else None
    detail = media.read_detail(level, at)
    if not detail:
        return medium
    if not isinstance(medium, Image):
        raise unsupported(f"{at}.mediaResolution")
    return msgspec.structs.replace(medium, detail=detail)


def _result(response: FunctionResponse, calls: OpenCalls, at: str) -> ToolResult:
    call_id = calls.end(response.name, response.id, at)
    text, is_error = _outcome(response.response, f"{at}.response")
    content: list[Text | Image | File] = [Text(text)]
    for number, part in enumerate(response.parts or ()):
        where = f"{at}.parts[{number}]"
        medium = _medium(Part(inline_data=part.inline_data, file_data=part.file_data), where)
        if isinstance(medium, Audio):
            raise unsupported(where)
        content.append(medium)
    return ToolResult(tool_call_id=call_id, content=tuple(content), is_error=is_error)


def _outcome(response: Raw, at: str) -> tuple[str, bool]:
    """What a result says, and whether it is an error: `output` and `error` are Google's words."""
    data = bytes(response)
    if not data or data == b"null":
        return "", False
    if not data.startswith(b"{"):
        raise InvalidRequestError(f"Invalid type for '{at}': expected an object.", field=at)
    members = _MEMBERS.decode(data)
    if len(members) == 1:
        [(name, value)] = members.items()
        if name in {"output", "error"}:
            return _words(value), name == "error"
    return data.decode(), False


def _words(value: Raw) -> str:
    data = bytes(value)
    return _STRING.decode(data) if data.startswith(b'"') else data.decode()


def _said_parts(turns: Iterable[tuple[int, Content]]) -> Iterator[tuple[str, Part]]:
    """The parts of turns of the model, each with its place."""
    text = place = ""
    for at, content in turns:
        for number, part in enumerate(content.parts or ()):
            where = f"contents[{at}].parts[{number}]"
            plain = part.text if part == Part(text=part.text) else None
            if plain is not None and number == 0 and text:
                text += plain
                continue
            if text:
                yield place, Part(text=text)
            text, place = plain or "", where
            if plain is None:
                yield where, part
    if text:
        yield place, Part(text=text)


def _model_parts(parts: Iterable[tuple[str, Part]], calls: OpenCalls) -> Iterator[NeutralPart]:
    """What the model said; a thought goes on until it is signed."""
    thought = ""
    for where, part in parts:
        _check(part, where)
        signature = signed_thoughts.read(part.thought_signature or "")
        if part.thought:
            thought += _thought_text(part, where)
            if signature is not None:
                yield msgspec.structs.replace(signature, text=thought)
                thought = ""
            continue
        if thought:
            yield Reasoning(text=thought)
            thought = ""
        if signature is not None:
            yield signature
        yield from _said(part, calls, where)
    if thought:
        yield Reasoning(text=thought)


def _thought_text(part: Part, at: str) -> str:
    if part.text is None:
        raise unsupported(f"{at}.thought")
    return part.text


def _said(part: Part, calls: OpenCalls, at: str) -> Iterator[NeutralPart]:
    if part.function_response is not None:
        raise unsupported(f"{at}.functionResponse")
    if part.function_call is not None:
        call = part.function_call
        arguments = _arguments(call.args, f"{at}.functionCall.args")
        call_id = calls.begin(call.name, call.id)
        yield ToolCall(id=call_id, name=call.name, arguments_json=arguments)
    elif part.text is not None:
        if part.text:
            yield Text(part.text)
    elif part.inline_data is not None or part.file_data is not None:
        yield _medium(part, at)
    elif not part.thought_signature:
        raise missing(f"{at}.text")


def _arguments(args: Raw, at: str) -> str:
    data = bytes(args)
    if not data or data == b"null":
        return "{}"
    if not data.startswith(b"{"):
        raise InvalidRequestError(f"Invalid type for '{at}': expected an object.", field=at)
    return data.decode()


def _check(part: Part, at: str) -> None:
    """A part says one thing."""
    if sum(getattr(part, name) is not None for name in _SAYING) > 1:
        raise InvalidRequestError(f"'{at}' says more than one thing.", field=at)
    if part.media_resolution is not None and not (part.inline_data or part.file_data):
        raise unsupported(f"{at}.mediaResolution")
