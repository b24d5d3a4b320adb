"""Uploads that are kept for as long as a request lasts."""

import asyncio
import errno
import os

import pytest
from google.api.httpbody_pb2 import HttpBody
from routing.test_form_reader import END, TYPE, field, file

from meshgate.dialects import uploaded_form
from meshgate.dialects.uploaded_form import Part
from meshgate.routing.uploads import upload
from meshgate.routing.uploads.upload import PIECE_BYTES, received
from meshgate.runtime.errors import (
    DeadlineExceededError,
    InvalidRequestError,
    ServiceUnavailableError,
)

SOUND = bytes(range(256)) * 4_000


async def coming(*pieces):
    for piece in pieces:
        yield HttpBody(content_type=TYPE, data=piece)


def open_files():
    """How many files without a name this process holds."""
    held = 0
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - some are gone when they are looked at
        try:
            held += "/#" in os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except OSError:
            continue
    return held


async def test_it_can_be_read_as_often_as_there_are_attempts():
    body = file(SOUND) + field("model", b"m") + END

    async with received(coming(body[:100], body[100:])) as brought:
        first, second = brought.pieces(), brought.pieces()
        start = next(first)
        assert b"".join(second) == SOUND
        assert start + b"".join(first) == SOUND
        assert len(start) == PIECE_BYTES
        assert uploaded_form.read(brought.form).parts == (
            Part("file", None, "a.wav", "", len(SOUND)),
            Part("model", "m"),
        )


async def test_nothing_is_left_of_it_whatever_comes():
    before = open_files()

    async with received(coming(file(SOUND) + END)) as brought:
        assert open_files() == before + 1
        pieces = brought.pieces()
        next(pieces)
    with pytest.raises(InvalidRequestError):
        async with received(coming(file(SOUND))):
            pass

    assert open_files() == before
    assert list(pieces) == []


async def test_one_that_never_comes_to_its_end_is_given_up():
    async def slow():
        yield HttpBody(content_type=TYPE, data=file(SOUND))
        await asyncio.Event().wait()

    with pytest.raises(DeadlineExceededError):
        async with received(slow(), at_most_seconds=0.01):
            pass


async def test_nothing_at_all_is_no_form():
    with pytest.raises(InvalidRequestError):
        async with received(coming()):
            pass


class NearlyFull:
    """A file that takes a little at a time, and in the end nothing."""

    def __init__(self, room):
        self.room = room
        self.taken = b""

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = bytes(data[: min(3, self.room)])
        self.room -= len(taken)
        self.taken += taken
        return len(taken)


def test_what_is_taken_in_parts_is_written_whole():
    file = NearlyFull(100)

    upload._keep(file, b"0123456789")

    assert file.taken == b"0123456789"


def test_a_full_disk_is_told_as_a_reason_to_come_again():
    with pytest.raises(ServiceUnavailableError) as caught:
        upload._keep(NearlyFull(5), b"0123456789")

    assert caught.value.retry_after_seconds == 1
