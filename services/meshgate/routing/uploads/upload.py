"""An upload: the fields of its form, and a file without a name that holds its files."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import IO

import structlog
from google.api.httpbody_pb2 import HttpBody

from meshgate.dialects import uploaded_form
from meshgate.routing.uploads.form_reader import FormReader
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    ServiceUnavailableError,
)

_log = structlog.get_logger("meshgate.routing")

PIECE_BYTES = 256 * 1024


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
async def received(messages: AsyncIterator[HttpBody], deadline: Deadline) -> AsyncIterator[Upload]:
    """Read an upload as it comes, and keep it for as long as the block lasts.

    No more of it is in memory than one message. The file has no name, so that nobody else can open
    it, and nothing of it is left whatever becomes of this process.

    Args:
        messages: The form, in pieces.
        deadline: When all of it must have come: who trickles takes the place of others.

    Raises:
        InvalidRequestError: It is no form.
        RequestTooLargeError: It is too large.
        DeadlineExceededError: It has not come in time.
        ServiceUnavailableError: There is no room for it.
    """
    with _temporary_file() as file:
        try:
            async with asyncio.timeout(deadline.seconds_left()):
                form = await _read(messages, file)
        except TimeoutError:
            raise DeadlineExceededError("The upload has not come in time.") from None
        yield Upload(form, file)


async def _read(messages: AsyncIterator[HttpBody], file: IO[bytes]) -> bytes:
    """Keep the files of a form; returns it as services hand it on."""
    first = await anext(messages, None)
    if first is None:
        raise InvalidRequestError("The body of your request is empty.")

    def keep(data: bytes) -> None:
        with _room():
            left = memoryview(data)
            while left:  # a file without a buffer may take a part of it
                left = left[file.write(left) :]

    reader = FormReader(first.content_type, keep)
    reader.feed(first.data)
    async for message in messages:
        reader.feed(message.data)
    reader.close()
    return uploaded_form.write(reader.parts)


def _temporary_file() -> IO[bytes]:
    with _room():
        return tempfile.TemporaryFile(buffering=0, prefix="meshgate-upload-")


@contextmanager
def _room() -> Iterator[None]:
    """Tell apart what the disk refuses: no fault of the request, and it may pass."""
    try:
        yield
    except OSError as error:
        _log.error("an upload cannot be kept", error=error.strerror)
        raise ServiceUnavailableError(
            "there is no room for uploads at the moment", retry_after_seconds=1
        ) from None
