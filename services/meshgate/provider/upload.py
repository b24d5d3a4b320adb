"""Forms with files on their way to an upstream: never all of one at a time."""

from collections.abc import AsyncGenerator, AsyncIterator

from meshgate.dialects.uploaded_form import Multipart
from meshgate.provider.upstream import StreamedBody
from meshgate.runtime.errors import InvalidRequestError


def streamed(form: Multipart, files: AsyncIterator[bytes]) -> StreamedBody:
    """The body of a request that brings files, which come one after the other as they are announced."""
    return StreamedBody(form.length, _pieces(form, files))


async def _pieces(form: Multipart, files: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield form.fields
    rest = b""
    for head, size in zip(form.heads, form.sizes, strict=True):
        yield head
        left = size
        while left:
            piece = rest or await anext(files, b"")
            if not piece:
                raise InvalidRequestError("the files are shorter than they were said to be")
            rest = piece[left:]
            left -= len(piece) - len(rest)
            yield piece[: len(piece) - len(rest)] if rest else piece
    if rest or await anext(files, b""):
        raise InvalidRequestError("the files are longer than they were said to be")
    yield form.end
