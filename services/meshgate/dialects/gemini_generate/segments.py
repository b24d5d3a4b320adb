"""The texts of generateContent requests and answers.

What is said stands where the API says so, and everything in a part that the API does not know is looked
at as well. Pictures, sounds and files are not looked at, nor are the tools that a request defines:
those are the application's own words. A signature is not text: what it proves, only the model knows.
"""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Raw

from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.gemini_generate.member_names import in_camel_case
from meshgate.dialects.json_text import Found, JsonCut, Path, in_items, in_members, in_value
from meshgate.dialects.openai_api.request_body import decode

_NOT_SAID = frozenset(
    {"model", "tools", "toolConfig", "safetySettings", "generationConfig", "cachedContent"}
    | {"labels", "serviceTier", "store"}
)
_NOT_SAID_IN_PARTS = frozenset(
    {"thought", "thoughtSignature", "inlineData", "fileData", "videoMetadata", "mediaResolution"}
)
_NOT_SAID_IN_CALLS = frozenset({"id", "name", "willContinue", "scheduling"})
_SOURCES = ("groundingMetadata", "citationMetadata", "urlContextMetadata")
_TELLING_AGAIN = (*_SOURCES, "logprobsResult")
_NOT_SAID_IN_CANDIDATES = frozenset(
    {"finishReason", "index", "safetyRatings", "tokenCount", "avgLogprobs", *_TELLING_AGAIN}
)
_KEPT_OF_BLOCKED = frozenset({"usageMetadata", "modelVersion", "responseId", "createTime"})

_OBJECT = msgspec.json.Decoder(dict[str, object])
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_CANDIDATES = msgspec.json.Decoder(list[dict[str, Raw]])


def cut_request(body: bytes) -> JsonCut:
    """Take the texts out of a request.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    return JsonCut(body, _of_request(decode(_OBJECT, body)))


def cut_answer(body: bytes) -> JsonCut:
    """Take the texts out of a plain answer.

    Raises:
        MalformedAnswerError: It is no generated content.
    """
    candidates = candidates_of(body)
    found = in_items(candidates, ("candidates",), _in_sourced_candidate)
    return JsonCut(body, found, betraying(candidates))


def blocked_answer(body: bytes) -> bytes:
    """Write a plain answer of which nothing may be shown but what it cost.

    Raises:
        MalformedAnswerError: It is no generated content.
    """
    try:
        members = _MEMBERS.decode(body)
        candidates = _CANDIDATES.decode(members.get("candidates", b"[]"))
    except UNREADABLE as error:
        raise MalformedAnswerError("the answer is no generated content") from error
    kept = {name: value for name, value in members.items() if name in _KEPT_OF_BLOCKED}
    blocked = [
        {
            "content": {"parts": [{"text": ""}], "role": "model"},
            "finishReason": "SAFETY",
            "index": candidate.get("index", at),
        }
        for at, candidate in enumerate(candidates or [{}])
    ]
    return msgspec.json.encode({"candidates": blocked, **kept})


def candidates_of(body: bytes) -> list[object]:
    """The candidates of an answer, or of a chunk of one.

    Raises:
        MalformedAnswerError: It is none.
    """
    try:
        candidates = _OBJECT.decode(body).get("candidates", [])
    except UNREADABLE as error:
        raise MalformedAnswerError("the answer is no generated content") from error
    if not isinstance(candidates, list):
        raise MalformedAnswerError("the answer is no generated content")
    return candidates


def betraying(candidates: Sequence[object]) -> list[Path]:
    """What tells the texts of candidates again."""
    return [
        ("candidates", at, name)
        for at, candidate in enumerate(candidates)
        if isinstance(candidate, dict)
        for name in _TELLING_AGAIN
        if candidate.get(name) is not None
    ]


def in_candidate(candidate: object, path: Path) -> Iterator[Found]:
    """The texts of a candidate, or of a piece of one, but for what tells them again."""
    return in_members(candidate, path, _NOT_SAID_IN_CANDIDATES, {"content": in_content})


def _in_sourced_candidate(candidate: object, path: Path) -> Iterator[Found]:
    """The same and what its sources say, which goes as a whole where anything is masked."""
    yield from in_candidate(candidate, path)
    for name in _SOURCES:
        if isinstance(candidate, dict) and name in candidate:
            yield from in_value(candidate[name], (*path, name))


def _of_request(members: dict[str, object]) -> Iterator[Found]:
    for name, value in members.items():
        known = in_camel_case(name)
        if known == "contents" and isinstance(value, list):
            yield from in_items(value, (name,), in_content)
        elif known in {"contents", "systemInstruction"}:
            yield from in_content(value, (name,))
        elif known not in _NOT_SAID:
            yield from in_value(value, (name,))


def in_content(content: object, path: Path) -> Iterator[Found]:
    """The texts of a content."""
    if not isinstance(content, dict):
        yield from in_value(content, path)
        return
    for name, value in content.items():
        if name == "parts" and isinstance(value, dict):
            yield from _in_part(value, (*path, name))
        elif name == "parts":
            yield from in_items(value, (*path, name), _in_part)
        elif name != "role":
            yield from in_value(value, (*path, name))


def _in_part(part: object, path: Path) -> Iterator[Found]:
    if not isinstance(part, dict):
        yield from in_value(part, path)
        return
    for name, value in part.items():
        known = in_camel_case(name)
        if known in {"functionCall", "functionResponse"} and isinstance(value, dict):
            yield from _in_call(value, (*path, name))
        elif known not in _NOT_SAID_IN_PARTS:
            yield from in_value(value, (*path, name))


def _in_call(call: dict[str, object], path: Path) -> Iterator[Found]:
    for name, value in call.items():
        if name == "parts":
            yield from in_items(value, (*path, name), _in_part)
        elif in_camel_case(name) not in _NOT_SAID_IN_CALLS:
            yield from in_value(value, (*path, name))
