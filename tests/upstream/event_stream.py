"""AWS's binary event stream, as an upstream writes it."""

import json
import struct
import zlib
from typing import Any

MEDIA_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7


def message(headers: dict[str, str], payload: bytes) -> bytes:
    """One message, whose headers are texts."""
    written = b"".join(map(_header, headers.items()))
    prelude = struct.pack(">II", 16 + len(written) + len(payload), len(written))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + written + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


def event(kind: str, **members: Any) -> bytes:
    """One event, whose payload is JSON; padded like Bedrock's, so that its length tells nothing."""
    headers = {
        ":event-type": kind,
        ":content-type": "application/json",
        ":message-type": "event",
    }
    return message(headers, json.dumps(members | {"p": "abcdef"}).encode())


def exception(kind: str, text: str) -> bytes:
    """What ends a stream that began well."""
    headers = {
        ":exception-type": kind,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return message(headers, json.dumps({"message": text}).encode())


def _header(item: tuple[str, str]) -> bytes:
    name, value = item[0].encode(), item[1].encode()
    return bytes([len(name)]) + name + bytes([_STRING]) + struct.pack(">H", len(value)) + value
