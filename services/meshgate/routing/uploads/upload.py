"""An upload: the fields of its form, and a file without a name that holds its files."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import IO

from google.api.httpbody_pb2 import HttpBody

from meshgate.dialects import uploaded_form
from meshgate.routing.uploads.form_reader import FormReader
from meshgate.runtime.errors import InvalidRequestError

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
async def received(messages: AsyncIterator[HttpBody]) -> AsyncIterator[Upload]:
    """Read an upload as it comes, and keep it for as long as the block lasts.

    No more of it is in memory than one message. The file has no name, so that nobody else can open
    it, and nothing of it is left whatever becomes of this process.

    Raises:
        InvalidRequestError: It is no form.
        RequestTooLargeError: It is too large.
    """
    first = await anext(messages, None)
    if first is None:
        raise InvalidRequestError("The body of your request is empty.")
    with tempfile.TemporaryFile(buffering=0, prefix="meshgate-upload-") as file:
        reader = FormReader(first.content_type, file.write)
        reader.feed(first.data)
        async for message in messages:
            reader.feed(message.data)
        reader.close()
        yield Upload(uploaded_form.write(reader.parts), file)
