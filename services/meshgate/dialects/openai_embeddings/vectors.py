"""The vectors of embeddings answers, each by itself. They are moved, and never read."""

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.neutral import Usage
from meshgate.dialects.pieces import AnswerPiece

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[dict[str, Raw]])
_INDEX = msgspec.json.Decoder(int)
_NOTHING = Raw(b"null")


def read(body: bytes, count: int) -> list[AnswerPiece] | None:
    """The vectors of an answer to so many inputs, in order.

    None for an answer that has not just one for each.
    """
    try:
        answer = _MEMBERS.decode(body)
        items = _ITEMS.decode(answer.get("data", _NOTHING))
        by_index = {_INDEX.decode(item.get("index", _NOTHING)): item for item in items}
    except UNREADABLE:
        return None
    has_each_once = len(items) == count and by_index.keys() == set(range(count))
    if not has_each_once or not all(map(_has_vector, items)):
        return None
    return [AnswerPiece(answer, by_index[index]) for index in range(count)]


def write(pieces: Sequence[AnswerPiece], usage: Usage | None) -> bytes:
    """An answer of vectors (at least one), numbered anew.

    What else it says is what the answer said that the first of them comes from.
    """
    members: dict[str, object] = dict(pieces[0].answer)
    members["data"] = [piece.item | {"index": index} for index, piece in enumerate(pieces)]
    members.pop("usage", None)
    if usage is not None:
        prompt, total = usage.input_tokens, usage.input_tokens + usage.output_tokens
        members["usage"] = {"prompt_tokens": prompt, "total_tokens": total}
    return msgspec.json.encode(members)


def _has_vector(item: dict[str, Raw]) -> bool:
    return bytes(item.get("embedding", _NOTHING)).startswith((b"[", b'"'))
