"""Uploads that are kept, and what becomes of them where they cannot be."""

import resource
from collections.abc import AsyncIterator, Iterator

import pytest
from google.api.httpbody_pb2 import HttpBody

from meshgate.routing.uploads.upload import received
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import DeadlineExceededError, ServiceUnavailableError

TYPE = "multipart/form-data; boundary=xyz"
HEAD = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
ROOM_BYTES = 1024 * 1024


@pytest.fixture
def little_room() -> Iterator[None]:
    """No file of this process may become larger than a megabyte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def coming(*pieces: bytes) -> AsyncIterator[HttpBody]:
    for at, piece in enumerate(pieces):
        yield HttpBody(content_type="" if at else TYPE, data=piece)


async def test_it_can_be_read_twice() -> None:
    form = coming(HEAD, b"sound", b"\r\n--xyz--\r\n")

    async with received(form, Deadline.after(60)) as upload:
        read = [b"".join(upload.pieces()) for _ in range(2)]

    assert read == [b"sound", b"sound"]
    assert [*upload.pieces()] == []


@pytest.mark.usefixtures("little_room")
async def test_what_there_is_no_room_for_is_told_to_come_again() -> None:
    form = coming(HEAD, b"a" * ROOM_BYTES * 2, b"b" * ROOM_BYTES, b"\r\n--xyz--\r\n")

    with pytest.raises(ServiceUnavailableError) as refused:
        async with received(form, Deadline.after(60)):
            pass

    assert refused.value.retry_after_seconds == 1


async def test_nothing_is_read_where_the_time_is_over() -> None:
    with pytest.raises(DeadlineExceededError):
        async with received(coming(HEAD), Deadline.after(-1)):
            pass
