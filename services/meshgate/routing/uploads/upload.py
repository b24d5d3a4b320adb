"""An upload: the fields of its form, and a file without a name that holds its files."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import IO

import structlog
from google.api.httpbody_pb2 import HttpBody

from meshgate.dialects import uploaded_form
from meshgate.routing.uploads.form_reader import FormReader
from meshgate.runtime.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    ServiceUnavailableError,
)

_log = structlog.get_logger("meshgate.routing")

PIECE_BYTES = 256 * 1024
AT_MOST_SECONDS = 600.0
"""25 MiB at 44 KB a second: who sends more slowly keeps others from sending."""


class Upload:
    """What a caller has brought. It can be read several times, for each attempt anew.

    Args:
        form: As services hand it on.
        file: Holds the files, one after the other.
    """

    def __init__(self, form: bytes, file: IO[bytes]) -> None:
        self.form = form
        self._file = file

    def pieces(self) -> Iterator[bytes]:
        """All files, one after the other; it ends early where the upload is given up."""
        at = 0
        while not self._file.closed and (
            # At a place of its own: two attempts may read at the same time.
            piece := os.pread(self._file.fileno(), PIECE_BYTES, at)
        ):
            at += len(piece)
            yield piece


@asynccontextmanager
async def received(
    messages: AsyncIterator[HttpBody], at_most_seconds: float = AT_MOST_SECONDS
) -> AsyncIterator[Upload]:
    """Read an upload as it comes, and keep it for as long as the block lasts.

    No more of it is in memory than one message. The file has no name, so that nobody else can open
    it, and nothing of it is left whatever becomes of this process.

    Raises:
        InvalidRequestError: It is no form.
        RequestTooLargeError: It is too large.
        DeadlineExceededError: It takes too long to come.
        ServiceUnavailableError: There is no room for it.
    """
    with tempfile.TemporaryFile(buffering=0, prefix="meshgate-upload-") as file:
        try:
            async with asyncio.timeout(at_most_seconds):
                form = await _read(messages, file)
        except TimeoutError:
            raise DeadlineExceededError("the upload has not come in time") from None
        yield Upload(form, file)


async def _read(messages: AsyncIterator[HttpBody], file: IO[bytes]) -> bytes:
    """Put the files of a form away, and return the form."""
    first = await anext(messages, None)
    if first is None:
        raise InvalidRequestError("The body of your request is empty.")
    reader = FormReader(first.content_type, partial(_keep, file))
    reader.feed(first.data)
    async for message in messages:
        reader.feed(message.data)
    reader.close()
    return uploaded_form.write(reader.parts)


def _keep(file: IO[bytes], data: bytes) -> None:
    """Write all of it: a disk that is nearly full takes a part."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        _log.error("no room for an upload", problem=error.strerror)
        raise ServiceUnavailableError(
            "there is no room for uploads at the moment", retry_after_seconds=1
        ) from error
