"""Pictures, sounds and documents of a Converse request: their formats, and where they are."""

import base64
import re
from pathlib import PurePosixPath

from meshgate.dialects.neutral import Audio, File, Image
from meshgate.dialects.openai_api.request_body import unsupported

_IMAGES = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_SOUNDS = frozenset(
    {"mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "m4a", "mpeg", "mpga"}
    | {"pcm", "webm", "x-aac"}
)
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_SUFFIXES = frozenset(_DOCUMENTS.values())
_S3 = "s3://"
# What the name of a document may hold, says the API's reference: no dots, no two spaces in a row.
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9()\[\]-]+")
_NAME_LENGTH = 180


class DocumentNames:
    """Names for the documents of one request: each must have one, and no two the same."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, filename: str) -> str:
        """A name like the filename that is not taken yet."""
        stem = PurePosixPath(filename).stem if filename else ""
        wanted = _NOT_IN_NAMES.sub(" ", stem).strip()[:_NAME_LENGTH].strip() or "document"
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted} {number}"
        self._taken.add(name)
        return name


def image(part: Image, at: str) -> dict[str, object]:
    """Write a picture.

    Raises:
        UnsupportedError: It is none of the formats that there are, is not here, or must be looked at
            in a detail that cannot be asked for.
    """
    if part.detail not in ("", "auto"):
        raise unsupported(f"{at}.image.detail")
    kind = _IMAGES.get(part.media_type.lower())
    if kind is None and part.uri.startswith(_S3):
        kind = _IMAGES.get(f"image/{PurePosixPath(part.uri).suffix[1:].lower()}")
    if kind is None:
        raise unsupported(f"{at}.image.media_type" if part.data else f"{at}.image.uri")
    return {"image": {"format": kind, "source": _source(part, f"{at}.image")}}


def audio(part: Audio, at: str) -> dict[str, object]:
    """Write a sound.

    Raises:
        UnsupportedError: It is none of the formats that there are.
    """
    if part.format not in _SOUNDS:
        raise unsupported(f"{at}.audio.format")
    return {"audio": {"format": part.format, "source": {"bytes": _base64(part.data)}}}


def document(part: File, names: DocumentNames, at: str) -> dict[str, object]:
    """Write a document.

    Raises:
        UnsupportedError: It is none of the formats that there are, or is not here.
    """
    source = _source(part, f"{at}.file")
    kind = _DOCUMENTS.get(part.media_type.partition(";")[0].strip().lower())
    if kind is None:
        suffix = PurePosixPath(part.filename or part.uri).suffix[1:].lower()
        kind = suffix if suffix in _SUFFIXES else None
    if kind is None:
        raise unsupported(f"{at}.file.media_type")
    name = names.name(part.filename)
    written: dict[str, object] = {"format": kind, "name": name, "source": source}
    if part.is_cited:
        written["citations"] = {"enabled": True}
    return {"document": written}


def _source(part: Image | File, at: str) -> dict[str, object]:
    if part.data:
        return {"bytes": _base64(part.data)}
    if part.uri.startswith(_S3):
        return {"s3Location": {"uri": part.uri}}
    raise unsupported(f"{at}.file_id" if part.file_id else f"{at}.uri")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
