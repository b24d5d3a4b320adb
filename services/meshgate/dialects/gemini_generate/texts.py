"""What there is to count in generateContent requests and answers, as they pass through.

Read leniently: upstreams are sent, and send, much that the neutral form does not know.
"""

from collections.abc import Iterator

from meshgate.dialects.counting import (
    AUDIO_TOKENS,
    FILE_TOKENS,
    IMAGE_TOKENS,
    Countable,
    CountableText,
    countable,
    unreadable,
)
from meshgate.dialects.gemini_generate.member_names import in_camel_case
from meshgate.dialects.loose_json import as_text, decoded, objects

_NOT_COUNTED = frozenset({"thought", "thoughtSignature", "videoMetadata", "mediaResolution"})


def countable_text(body: bytes) -> CountableText:
    """What a request says."""
    request = decoded(body)
    if not isinstance(request, dict):
        return unreadable(body)
    members = _named(request)
    contents = _contents(members)
    return countable(_of_request(members, contents), len(contents))


def answer_texts(body: bytes) -> list[str]:
    """What a plain answer says, in all its candidates."""
    answer = decoded(body)
    if not isinstance(answer, dict):
        return unreadable(body).texts
    return [
        text
        for candidate in objects(answer.get("candidates"))
        for text in content_texts(candidate.get("content"))
    ]


def content_texts(content: object) -> list[str]:
    """The texts of a content, or of a piece of one."""
    return [item for item in content_countables(content) if isinstance(item, str) and item]


def _contents(members: dict[str, object]) -> list[dict[str, object]]:
    contents = members.get("contents")
    return [contents] if isinstance(contents, dict) else objects(contents)


def _of_request(
    members: dict[str, object], contents: list[dict[str, object]]
) -> Iterator[Countable]:
    yield from content_countables(members.get("systemInstruction"))
    for content in contents:
        yield from content_countables(content)
    for tool in objects(members.get("tools")):
        for declaration in objects(_named(tool).get("functionDeclarations")):
            yield as_text(declaration)
    config = members.get("generationConfig")
    if isinstance(config, dict):
        wanted = _named(config)
        schema = wanted.get("responseSchema") or wanted.get("responseJsonSchema")
        if schema:
            yield as_text(schema)


def content_countables(content: object) -> Iterator[Countable]:
    """What a content says, or a piece of one."""
    if not isinstance(content, dict):
        return
    parts = content.get("parts")
    for part in [parts] if isinstance(parts, dict) else objects(parts):
        yield from _of_part(_named(part))


def _of_part(part: dict[str, object]) -> Iterator[Countable]:
    for name, value in part.items():
        if name in _NOT_COUNTED or not value:
            continue
        if isinstance(value, str):
            yield value
        elif name in {"inlineData", "fileData"}:
            yield _medium_tokens(value)
        elif name in {"functionCall", "functionResponse"} and isinstance(value, dict):
            yield from _of_call(value)
        else:
            yield as_text(value)


def _of_call(call: dict[str, object]) -> Iterator[Countable]:
    name = call.get("name")
    if isinstance(name, str):
        yield name
    yield as_text(call.get("args") or call.get("response") or {})
    for part in objects(call.get("parts")):
        yield from _of_part(_named(part))


def _medium_tokens(value: object) -> int:
    media_type = _named(value).get("mimeType") if isinstance(value, dict) else None
    kind = media_type.partition("/")[0] if isinstance(media_type, str) else ""
    return {"image": IMAGE_TOKENS, "audio": AUDIO_TOKENS}.get(kind, FILE_TOKENS)


def _named(members: dict[str, object]) -> dict[str, object]:
    return {in_camel_case(name): value for name, value in members.items()}
