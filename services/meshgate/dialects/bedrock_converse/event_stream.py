"""AWS's binary event stream, read as it arrives.

A message is a prelude (its length, the length of its headers, and a checksum of the two), headers, a
payload, and a checksum of all before: the "Amazon Event Stream" specification of Smithy 2.0, and
https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html.
"""

import struct
import zlib

from msgspec import Struct

from meshgate.dialects.answers import MalformedAnswerError

MEDIA_TYPE = "application/vnd.amazon.eventstream"
DEFAULT_LIMIT_BYTES = 8 * 1024 * 1024

_PRELUDE = struct.Struct(">II")
_CHECKSUM = struct.Struct(">I")
_SHORT = struct.Struct(">H")
_HEAD_BYTES = _PRELUDE.size + _CHECKSUM.size
_LEAST_BYTES = _HEAD_BYTES + _CHECKSUM.size
_STRING = 7
_BYTES = 6
# How many bytes a value has, by its type; bytes and strings say it themselves.
_WIDTHS = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class StreamMessage(Struct, gc=False):
    """One message; of its headers those that are text."""

    headers: dict[str, str]
    payload: bytes


class EventStreamReader:
    """Cuts a byte stream into messages, wherever the reads happen to split it.

    Args:
        limit_bytes: The most bytes one message may take.
    """

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._wanted_bytes = 0

    @property
    def pending(self) -> bool:
        """Whether a partial message is kept back."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[StreamMessage]:
        """Take what one read brought and return the messages that it completes.

        Raises:
            MalformedAnswerError: What came is no such stream, was damaged on its way, or holds a
                message larger than the limit.
        """
        self._buffer += data
        messages = []
        while self._is_whole():
            messages.append(_message_of(bytes(self._buffer[: self._wanted_bytes])))
            del self._buffer[: self._wanted_bytes]
            self._wanted_bytes = 0
        return messages

    def close(self) -> list[StreamMessage]:
        """Take the end of the stream; no message is owed.

        Raises:
            MalformedAnswerError: A part of one is kept back.
        """
        if self.pending:
            raise MalformedAnswerError("a message is not whole")
        return []

    def _is_whole(self) -> bool:
        if not self._wanted_bytes and len(self._buffer) >= _HEAD_BYTES:
            self._wanted_bytes = self._length()
        return 0 < self._wanted_bytes <= len(self._buffer)

    def _length(self) -> int:
        """How long the next message is, which its prelude says."""
        head = bytes(self._buffer[:_HEAD_BYTES])
        total, headers = _PRELUDE.unpack_from(head)
        if zlib.crc32(head[: _PRELUDE.size]) != _CHECKSUM.unpack_from(head, _PRELUDE.size)[0]:
            raise MalformedAnswerError("the prelude of a message is damaged")
        if total < _LEAST_BYTES + headers:
            raise MalformedAnswerError("a message is shorter than it can be")
        if total > self._limit_bytes:
            raise MalformedAnswerError(f"a message is larger than {self._limit_bytes} bytes")
        return int(total)


def _message_of(message: bytes) -> StreamMessage:
    end = len(message) - _CHECKSUM.size
    if zlib.crc32(message[:end]) != _CHECKSUM.unpack_from(message, end)[0]:
        raise MalformedAnswerError("a message is damaged")
    headers_end = _HEAD_BYTES + _PRELUDE.unpack_from(message)[1]
    return StreamMessage(_headers(message[_HEAD_BYTES:headers_end]), message[headers_end:end])


def _headers(data: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            kind, value_at = data[name_end], name_end + 1
            if kind in (_BYTES, _STRING):
                (width,) = _SHORT.unpack_from(data, value_at)
                value_at += _SHORT.size
            else:
                width = _WIDTHS[kind]
            value = data[value_at : value_at + width]
            if len(value) != width:
                raise MalformedAnswerError("a header ends too early")
            if kind == _STRING:
                headers[data[at + 1 : name_end].decode()] = value.decode()
            at = value_at + width
    except (IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise MalformedAnswerError("the headers of a message cannot be understood") from error
    return headers
