"""What embeddings requests are alike, and which answers to them are worth keeping."""

from typing import Any

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.canonical import CanonicalRequest, members_of, written
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.openai_embeddings.inputs import Input, inputs_of
from meshgate.dialects.openai_embeddings.passthrough import glance
from meshgate.dialects.pieces import MOST_PIECES, RequestPiece


def canonical(body: bytes) -> CanonicalRequest:
    """A request in its one form, without what only tells the provider who asked.

    One text is the same by itself and as a list of one.

    Raises:
        NoCanonicalFormError: It has none.
    """
    members = members_of(body)
    members.pop("user", None)
    inputs = inputs_of(members.get("input"))
    if not 1 <= len(inputs) <= MOST_PIECES:
        return CanonicalRequest(written(members))
    pieces = tuple(_piece(members, each) for each in inputs)
    form = pieces[0].form if len(pieces) == 1 else written(members)
    return CanonicalRequest(form, pieces=pieces)


def _piece(members: dict[str, Any], given: Input) -> RequestPiece:
    form = written(members | {"input": given})
    if isinstance(given, str):
        return RequestPiece(form, text_bytes=len(given.encode()))
    return RequestPiece(form, tokens=len(given))


def good_end(body: bytes) -> FinishReason | None:
    """UNSPECIFIED, since there is no reason to end; None for an answer without vectors."""
    try:
        return glance(body).finish_reason
    except MalformedAnswerError:
        return None
