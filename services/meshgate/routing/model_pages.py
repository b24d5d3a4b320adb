"""Lists of models, page by page."""

import base64
import binascii
from collections.abc import Iterable

from msgspec import Struct

from meshgate.runtime.errors import InvalidRequestError

USUAL_PAGE_SIZE = 100
LARGEST_PAGE_SIZE = 1_000


class ModelPage(Struct, frozen=True):
    """Some models in the order of their names, and the token for what comes next, if anything."""

    names: tuple[str, ...]
    next_token: str = ""


def page(names: Iterable[str], size: int, token: str) -> ModelPage:
    """A page of models. What is configured anew meanwhile neither repeats nor hides others.

    Args:
        names: All of them.
        size: How many a page has; 0 leaves that to us.
        token: Of the page before; empty for the first one.

    Raises:
        InvalidRequestError: The size is negative, or the token was not given out.
    """
    if size < 0:
        raise InvalidRequestError(
            f"the page size is {size}: it must be 0 or more", field="page_size", page_size=str(size)
        )
    after = _read_token(token)
    left = sorted(name for name in names if after is None or name > after)
    size = min(size or USUAL_PAGE_SIZE, LARGEST_PAGE_SIZE)
    shown = tuple(left[:size])
    return ModelPage(shown, _token(shown[-1]) if len(left) > size else "")


def _token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _read_token(token: str) -> str | None:
    """The name after which the page begins."""
    if not token:
        return None
    try:
        name = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError):
        name = ""
    if not name or _token(name) != token:
        raise InvalidRequestError(
            "the page token is not one that was given out: begin without one", field="page_token"
        )
    return name
