"""The grammar of streams of generated content: what a client of Google's API may rely on.

- every event is one chunk of JSON, or an error;
- all chunks carry the same id and model;
- a part says one thing, and calls are whole;
- nothing follows the finish reason, and the last chunk has it, or else an error is the last.
"""

from typing import Any

import msgspec
from msgspec import Struct

from meshgate.dialects import sse
from meshgate.dialects.grammar import GrammarError

_SAYING = frozenset({"text", "functionCall", "inlineData", "fileData"})


class _Content(Struct, forbid_unknown_fields=True):
    parts: list[dict[str, Any]]
    role: str


class _Candidate(Struct, rename="camel"):
    content: _Content
    finish_reason: str | None = None
    index: int = 0


class _Chunk(Struct, rename="camel"):
    candidates: list[_Candidate]
    model_version: str
    response_id: str


class _Error(Struct):
    code: int
    message: str
    status: str


class _ErrorEvent(Struct):
    error: _Error | None = None


def check(stream: bytes) -> None:
    """Check a whole stream.

    Raises:
        GrammarError: It breaks the grammar.
    """
    reader = sse.EventReader()
    events = reader.feed(stream)
    if reader.pending:
        raise GrammarError("the stream ended within an event")
    identities: set[tuple[str, str]] = set()
    ended = False
    for event in events:
        if ended:
            raise GrammarError("an event after the end")
        ended = _check(event.data, identities)
    if not ended:
        raise GrammarError("the stream ended without a finish reason and without an error")


def _check(data: bytes, identities: set[tuple[str, str]]) -> bool:
    """Check an event; whether it is the last."""
    try:
        if msgspec.json.decode(data, type=_ErrorEvent).error is not None:
            return True
        chunk = msgspec.json.decode(data, type=_Chunk)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise GrammarError(f"an event is neither a chunk nor an error: {error}") from error
    identities.add((chunk.response_id, chunk.model_version))
    if len(identities) > 1:
        raise GrammarError("id or model changed within the stream")
    if len(chunk.candidates) != 1 or chunk.candidates[0].content.role != "model":
        raise GrammarError("a chunk has not just one candidate of the model")
    for part in chunk.candidates[0].content.parts:
        _check_part(part)
    return chunk.candidates[0].finish_reason is not None


def _check_part(part: dict[str, Any]) -> None:
    if len(_SAYING & part.keys()) != 1:
        raise GrammarError("a part says nothing, or more than one thing")
    call = part.get("functionCall")
    if call is not None and not (call.get("name") and isinstance(call.get("args"), dict)):
        raise GrammarError("a call is not whole")
