"""Forms with files, `multipart/form-data`, read as they come: https://www.rfc-editor.org/rfc/rfc7578."""

import re
from collections.abc import Callable
from enum import Enum, auto
from urllib.parse import unquote

from meshgate.dialects.uploaded_form import Part
from meshgate.runtime.errors import InvalidRequestError, RequestTooLargeError

KIB = 1024
MIB = 1024 * KIB
FILES_LIMIT_BYTES = 25 * MIB
"""What OpenAI takes of a sound; of pictures no more here."""

FIELDS_LIMIT_BYTES = MIB
_HEADERS_LIMIT_BYTES = 16 * KIB
_MOST_PARTS = 256
_BOUNDARY = re.compile(r"""boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))""", re.IGNORECASE)
_PARAMETER = re.compile(r""";\s*([A-Za-z*]+)\s*=\s*(?:"((?:\\["\\]|[^"])*)"|([^\s;"]*))""")
_ESCAPED = re.compile(r"\\([\"\\])")
_PLAIN_CODINGS = {"", "7bit", "8bit", "binary"}


class _At(Enum):
    PREAMBLE = auto()
    HEADERS = auto()
    BODY = auto()
    END = auto()


class FormReader:
    """Takes a form apart, whatever order its parts have, wherever reads split it.

    Holds the fields, and of files no more than what may be the beginning of a boundary.

    Args:
        content_type: Of the request; says the boundary.
        keep: Takes the bytes of files, in the order in which they come.

    Attributes:
        parts: What has come.

    Raises:
        InvalidRequestError: It is no form.
    """

    def __init__(self, content_type: str, keep: Callable[[bytes], object]) -> None:
        self.parts: list[Part] = []
        self._delimiter = b"\r\n--" + _boundary(content_type)
        self._keep = keep
        self._at = _At.PREAMBLE
        self._buffer = bytearray(b"\r\n")  # the first boundary may be the first thing that comes
        self._open: Part | None = None
        self._value = bytearray()
        self._file_bytes = 0
        self._files_bytes = 0
        self._fields_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take what one read brought.

        Raises:
            InvalidRequestError: It is no form.
            RequestTooLargeError: It is too large.
        """
        if self._at is _At.END:
            return  # what follows a form is nobody's
        self._buffer += data
        while self._step():
            pass

    def close(self) -> None:
        """Take note that nothing more comes.

        Raises:
            InvalidRequestError: The form is not whole.
        """
        if self._at is not _At.END:
            raise InvalidRequestError("The form in the body of your request is not whole.")

    def _step(self) -> bool:
        """Go on as far as what has come allows; whether there may be more to do."""
        if self._at is _At.END:
            return False
        if self._at is _At.HEADERS:
            return self._read_headers()
        at = self._buffer.find(self._delimiter)
        self._take_body(at if at >= 0 else len(self._buffer) - len(self._delimiter) + 1)
        return at >= 0 and self._pass_delimiter()

    def _take_body(self, size: int) -> None:
        """Take so much that belongs to the part that is open, or to none."""
        if size <= 0:
            return
        part = self._open
        if part is not None and part.size is not None:
            self._files_bytes += size
            if self._files_bytes > FILES_LIMIT_BYTES:
                raise _too_large("The files", FILES_LIMIT_BYTES)
            self._file_bytes += size
            self._keep(bytes(memoryview(self._buffer)[:size]))
        else:
            self._count_field(size)
            if part is not None:
                self._value += self._buffer[:size]
        del self._buffer[:size]

    def _pass_delimiter(self) -> bool:
        """Go over the delimiter that the buffer begins with, once what follows has come too."""
        after = bytes(self._buffer[len(self._delimiter) :])
        if len(after) < len(b"--"):
            return False
        if after.startswith(b"--"):
            self._end_part()
            self._at = _At.END
            self._buffer.clear()
            return False
        line_end = after.find(b"\r\n")
        padding = after[: max(line_end, 0)] if line_end >= 0 else after
        if padding.strip(b" \t\r") or len(padding) > KIB:
            raise InvalidRequestError("The form in the body of your request is malformed.")
        if line_end < 0:
            return False
        self._end_part()
        # The line end stays: a part without headers has only the one before its body.
        del self._buffer[: len(self._delimiter) + line_end]
        self._at = _At.HEADERS
        return True

    def _end_part(self) -> None:
        part, self._open = self._open, None
        if part is None:
            return
        if part.size is not None:
            part = Part(part.name, None, part.filename, part.content_type, self._file_bytes)
        else:
            part = Part(part.name, _text(bytes(self._value)))
        self.parts.append(part)

    def _read_headers(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEADERS_LIMIT_BYTES:
                raise _too_large("The headers of a part of the form", _HEADERS_LIMIT_BYTES)
            return False
        if len(self.parts) >= _MOST_PARTS:
            raise InvalidRequestError(f"The form has more than {_MOST_PARTS} parts.")
        self._count_field(end)
        self._open = _opened(_headers(_text(bytes(self._buffer[:end]))))
        self._value, self._file_bytes = bytearray(), 0
        del self._buffer[: end + len(b"\r\n\r\n")]
        self._at = _At.BODY
        return True

    def _count_field(self, size: int) -> None:
        self._fields_bytes += size
        if self._fields_bytes > FIELDS_LIMIT_BYTES:
            raise _too_large("The fields of the form", FIELDS_LIMIT_BYTES)


def _boundary(content_type: str) -> bytes:
    media_type, _, parameters = content_type.partition(";")
    found = _BOUNDARY.search(parameters)
    if media_type.strip().lower() != "multipart/form-data" or found is None:
        raise InvalidRequestError(
            "The body of your request must be a form: multipart/form-data with a boundary."
        )
    return (found[1] or found[2]).encode()


def _headers(text: str) -> dict[str, str]:
    lines = (line.partition(":") for line in text.split("\r\n") if line)
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def _opened(headers: dict[str, str]) -> Part:
    """What a part says of itself; a file has a size."""
    disposition = headers.get("content-disposition", "")
    if not disposition.lower().startswith("form-data"):
        raise InvalidRequestError("A part of the form does not say what it is.")
    if headers.get("content-transfer-encoding", "").lower() not in _PLAIN_CODINGS:
        raise InvalidRequestError("A part of the form is encoded, which nobody does any more.")
    told = {name.lower(): _plain(quoted, bare) for name, quoted, bare in _found(disposition)}
    name = told.get("name", "")
    if not 1 <= len(name) <= KIB // 4:
        raise InvalidRequestError("A part of the form has no name, or a very long one.")
    if "filename" not in told and "filename*" not in told:
        return Part(name)
    return Part(name, None, _file_name(told)[:KIB], headers.get("content-type", ""), 0)


def _file_name(told: dict[str, str]) -> str:
    """The name of a file: upstreams tell the kind of a sound by its end.

    Older clients write what is not ASCII as `filename*=utf-8''...`, https://www.rfc-editor.org/rfc/rfc5987.
    """
    if "filename" in told:
        return told["filename"]
    return unquote(told["filename*"].rpartition("'")[2], errors="replace")


def _found(disposition: str) -> list[tuple[str, str, str]]:
    return _PARAMETER.findall(disposition)


def _plain(quoted: str, bare: str) -> str:
    return _ESCAPED.sub(r"\1", quoted) or bare


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError("A field of the form is not valid UTF-8.") from error


def _too_large(what: str, limit_bytes: int) -> RequestTooLargeError:
    return RequestTooLargeError(
        f"{what} are larger than the {limit_bytes} bytes that are taken.",
        limit_bytes=str(limit_bytes),
    )
