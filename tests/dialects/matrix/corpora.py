"""The recorded answers of each dialect of upstreams, as the bytes that come from them.

A dialect is judged as soon as it is registered and has a folder in `corpus`; what tells its events
apart is its framing.
"""

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialects.matrix.expectations import TYPED_ANSWERS

from meshgate.dialects.meshgate_chat.dialect import DIALECT as MESHGATE_CHAT
from meshgate.dialects.retelling import events_of
from meshgate.dialects.translation import UPSTREAM_DIALECTS, translator
from meshgate.runtime.errors import UnsupportedError

CORPUS = Path(__file__).parents[1] / "corpus"


@dataclass(frozen=True)
class Framing:
    """How the events of a stream are told apart.

    Attributes:
        payload: The JSON of an event, undecoded.
        with_payload: An event with another payload.
        is_split_anywhere: Whether reads may split events.
        is_sse: Whether they are server-sent events.
    """

    payload: Callable[[bytes], bytes]
    with_payload: Callable[[bytes, bytes], bytes]
    is_split_anywhere: bool = True
    is_sse: bool = False


@dataclass(frozen=True)
class Recording:
    """A recorded stream, event by event."""

    dialect: str
    name: str
    frames: tuple[bytes, ...]
    framing: Framing

    @property
    def stream(self) -> bytes:
        return b"".join(self.frames)

    def __str__(self) -> str:
        return f"{self.dialect}/{self.name}"


def recordings() -> list[Recording]:
    """The streams of all dialects that are registered."""
    found = [
        recording
        for dialect in (*UPSTREAM_DIALECTS, *_only_passed())
        for recording in _recordings_of(dialect)
    ]
    return [*found, *_typed_recordings()]


def answers(dialect: str) -> dict[str, bytes]:
    """The plain answers of a dialect, by name."""
    if dialect == "meshgate_chat":
        return {
            name: MESHGATE_CHAT.write_response(answer, created=1)
            for name, answer in TYPED_ANSWERS.items()
        }
    return {path.stem: path.read_bytes() for path in sorted((CORPUS / dialect).glob("*.json"))}


def event_message(kind: str, payload: bytes) -> bytes:
    """One message of Amazon's binary event stream; `!` before the kind makes it an exception."""
    is_exception = kind.startswith("!")
    headers = {
        ":exception-type" if is_exception else ":event-type": kind.removeprefix("!"),
        ":content-type": "application/json",
        ":message-type": "exception" if is_exception else "event",
    }
    packed = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return message + struct.pack(">I", zlib.crc32(message))


def _only_passed() -> list[str]:
    """Dialects with recordings whose answers are passed on and never translated."""
    return [
        path.name
        for path in sorted(CORPUS.iterdir())
        if path.name not in UPSTREAM_DIALECTS and path.is_dir() and is_passed(path.name)
    ]


def is_passed(dialect: str) -> bool:
    """Whether answers of a dialect are passed on to its own callers."""
    try:
        translator(dialect, dialect)
    except UnsupportedError:
        return False
    return True


def _recordings_of(dialect: str) -> list[Recording]:
    found = [
        Recording(dialect, path.stem, _sse_frames(path.read_bytes()), _SSE)
        for path in sorted((CORPUS / dialect).glob("*.sse"))
    ]
    found += (
        Recording(dialect, path.stem, _binary_frames(path.read_text()), _EVENT_STREAM)
        for path in sorted((CORPUS / dialect).glob("*.events"))
    )
    return found


def _typed_recordings() -> list[Recording]:
    found = []
    for name, answer in TYPED_ANSWERS.items():
        writer = MESHGATE_CHAT.stream_writer(created=1, include_usage=True)
        frames = tuple(writer.write([event]) for event in events_of(answer))
        found.append(Recording("meshgate_chat", name, frames, _TYPED))
    return found


def _sse_frames(stream: bytes) -> tuple[bytes, ...]:
    end = b"\r\n\r\n" if b"\r\n" in stream else b"\n\n"
    return tuple(frame + end for frame in stream.split(end) if frame)


def _sse_payload(frame: bytes) -> bytes:
    return frame[frame.index(b"data: ") + 6 :].rstrip(b"\r\n")


def _sse_with(frame: bytes, payload: bytes) -> bytes:
    return frame.replace(_sse_payload(frame), payload)


def _binary_frames(lines: str) -> tuple[bytes, ...]:
    return tuple(
        event_message(kind, payload.encode())
        for kind, payload in (line.split(" ", 1) for line in lines.splitlines())
    )


def _binary_payload(frame: bytes) -> bytes:
    headers = int.from_bytes(frame[4:8])
    return frame[12 + headers : -4]


def _binary_with(frame: bytes, payload: bytes) -> bytes:
    headers = int.from_bytes(frame[4:8])
    prelude = struct.pack(">II", 16 + headers + len(payload), headers)
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + frame[12 : 12 + headers] + payload
    return message + struct.pack(">I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    text = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(text)) + text


def _typed_payload(_frame: bytes) -> bytes:
    return b""


def _typed_with(_frame: bytes, payload: bytes) -> bytes:
    return payload


_SSE = Framing(_sse_payload, _sse_with, is_sse=True)
_EVENT_STREAM = Framing(_binary_payload, _binary_with)
_TYPED = Framing(_typed_payload, _typed_with, is_split_anywhere=False)


def parsed(recording: Recording, at: int) -> Any:
    """The JSON of an event; None where it holds none."""
    try:
        return json.loads(recording.framing.payload(recording.frames[at]))
    except ValueError:
        return None
