"""What makes two questions the same: then one may have the other's answer."""

import hashlib

from msgspec import Struct
from msgspec.json import encode

from meshgate.config.snapshot import CacheScope
from meshgate.dialects.canonical import NoCanonicalFormError
from meshgate.dialects.keeping import Keeping
from meshgate.dialects.pieces import RequestPiece
from meshgate.routing.principal import Principal
from meshgate.routing.question import DIALECT_NAMES, Question

MOST_BODY_BYTES = 1 << 20
"""Bodies that are longer have no fingerprint: to make one holds up all other requests."""


class PieceFingerprint(Struct, frozen=True):
    """What makes one thing that is asked for the same as another.

    Attributes:
        digest: That of the question for this alone.
        piece: What is asked for.
    """

    digest: bytes
    piece: RequestPiece


class Fingerprint(Struct, frozen=True):
    """What makes a question the same as another.

    Attributes:
        digest: Equal if, and only if, the questions are.
        tells_alike: Whether its answer is the same streamed and plain.
        pieces: What is asked for, in order, where the answers to each can be kept by themselves.
    """

    digest: bytes
    tells_alike: bool
    pieces: tuple[PieceFingerprint, ...] = ()


def fingerprint(question: Question, kept: Keeping) -> Fingerprint | None:
    """The fingerprint of a question; None if it has none.

    All of the body goes into it but how the answer is to travel and who is said to ask; so does what
    may change the answer besides: the configuration, and how much the upstream is told to write at most.

    Args:
        question: What is asked.
        kept: How answers of its dialect are kept.
    """
    if len(question.body) > MOST_BODY_BYTES:
        return None
    try:
        request = kept.canonical(question.body)
    except NoCanonicalFormError:
        return None
    # A list of JSON, and what follows it: no two of them run into one another.
    beside = encode(
        [
            DIALECT_NAMES[question.dialect],
            question.head.model,
            question.revision,
            question.output_cap,
            *question.arrival.told_headers,
        ]
    )
    pieces = (PieceFingerprint(_digest(beside, each.form), each) for each in request.pieces)
    return Fingerprint(_digest(beside, request.form), request.tells_alike, tuple(pieces))


def _digest(beside: bytes, form: bytes) -> bytes:
    return hashlib.sha256(beside + form).digest()


def partition(principal: Principal, scope: CacheScope) -> str:
    """Who shares answers with the principal. Nobody, where it belongs to nothing of that kind.

    It always holds the organization, so that no two of them ever share.
    """
    member = {
        "organization": principal.organization_id,
        "team": principal.team_id,
        "user": principal.user_id,
        "key": principal.key_id,
    }[scope]
    if not member:
        return encode([principal.organization_id, "principal", principal.principal_id]).decode()
    return encode([principal.organization_id, scope, member]).decode()
