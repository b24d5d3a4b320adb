"""Requests in one form for all of their spellings, so that equal ones can be found to be equal."""

import json
import math
from typing import Any, NoReturn

import msgspec
from msgspec import Struct

from meshgate.dialects.pieces import RequestPiece

_encode = msgspec.json.Encoder(order="deterministic").encode


class NoCanonicalFormError(ValueError):
    """A request can be understood in more than one way, or not at all. Says nothing of its text."""


class CanonicalRequest(Struct, frozen=True):
    """A request, as all that mean the same are written.

    Attributes:
        form: Equal if, and only if, the requests ask for the same.
        tells_alike: Whether a streamed answer to it says all that a plain one does, so that either can
            be made from the other.
        pieces: All that it asks for, in order, where the answers to each can be kept by themselves.
    """

    form: bytes
    tells_alike: bool = True
    pieces: tuple[RequestPiece, ...] = ()


def members_of(body: bytes) -> dict[str, Any]:
    """The members of a JSON object, numbers and texts by their value.

    Numbers with a point or an exponent are what a double makes of them.

    Raises:
        NoCanonicalFormError: It is no object, or one in it names a member twice. Upstreams differ in
            which of two they take: whoever chose it could plant an answer to somebody else's question.
    """
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=_members,
            parse_float=_double,
            parse_constant=_refuse_constant,
        )
    except NoCanonicalFormError:
        raise
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and very long numbers, too
        raise NoCanonicalFormError("the body cannot be read") from error
    if not isinstance(value, dict):
        raise NoCanonicalFormError("the body is no object")
    return value


def written(value: Any) -> bytes:
    """JSON with members in order and without blanks.

    Raises:
        NoCanonicalFormError: It holds what cannot be written, such as half a letter.
    """
    try:
        return _encode(value)
    except (ValueError, OverflowError, RecursionError) as error:
        raise NoCanonicalFormError("the body cannot be written") from error


def json_form(body: bytes) -> bytes:
    """A JSON object in its one form.

    Raises:
        NoCanonicalFormError: It has none.
    """
    return written(members_of(body))


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NoCanonicalFormError("a member is named twice")
    return members


def _double(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NoCanonicalFormError("a number is larger than a double can be")
    return number


def _refuse_constant(_word: str) -> NoReturn:
    raise NoCanonicalFormError("that is no number of JSON")
