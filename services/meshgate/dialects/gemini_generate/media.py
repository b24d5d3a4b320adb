"""Pictures, sounds and documents, to and from what Google calls inline data and file data."""

import mimetypes

from meshgate.dialects.gemini_generate.signed_thoughts import encoded
from meshgate.dialects.gemini_generate.wire import Blob, FileData
from meshgate.dialects.neutral import Audio, File, Image
from meshgate.dialects.openai_api.request_body import missing, unsupported
from meshgate.dialects.openai_chat import data_uri

_URL_SAFE = str.maketrans("-_", "+/")
_PDF = "application/pdf"
_FORMATS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}
_DETAILS = {"MEDIA_RESOLUTION_LOW": "low", "MEDIA_RESOLUTION_HIGH": "high"}
_LEVELS = {detail: level for level, detail in _DETAILS.items()}


def read_blob(blob: Blob, at: str) -> Image | Audio | File:
    """What inline data holds, by its media type.

    Raises:
        InvalidRequestError: It is no base64, or has no media type.
    """
    if not blob.mime_type:
        raise missing(f"{at}.mimeType")
    data = data_uri.decode(blob.data.translate(_URL_SAFE), f"{at}.data")
    kind, _, subtype = blob.mime_type.lower().partition("/")
    if kind == "image":
        return Image(data=data, media_type=blob.mime_type)
    if kind == "audio":
        subtype = subtype.partition(";")[0]
        return Audio(data=data, format=_FORMATS.get(subtype, subtype))
    return File(data=data, media_type=blob.mime_type, filename=blob.display_name or "")


def read_file(file: FileData, at: str) -> Image | File:
    """What file data refers to.

    Raises:
        InvalidRequestError: It refers to nothing.
    """
    if not file.file_uri:
        raise missing(f"{at}.fileUri")
    media_type = file.mime_type or ""
    if media_type.startswith("image/"):
        return Image(uri=file.file_uri, media_type=media_type)
    return File(uri=file.file_uri, media_type=media_type, filename=file.display_name or "")


def read_detail(level: str | None, at: str) -> str:
    """The detail in which a picture is to be looked at.

    Raises:
        UnsupportedError: There is no word for it.
    """
    if level in {None, "", "MEDIA_RESOLUTION_UNSPECIFIED"}:
        return ""
    detail = _DETAILS.get(level or "")
    if detail is None:
        raise unsupported(f"{at}.mediaResolution")
    return detail


def write_image(image: Image, at: str) -> dict[str, object]:
    """Write a picture.

    Raises:
        UnsupportedError: It is with another provider, or wanted in a detail that has no name here.
    """
    if image.file_id:
        raise unsupported(f"{at}.image.file_id")
    if image.uri:
        written = _file_data(image.uri, image.media_type)
    else:
        written = _inline_data(image.data, image.media_type)
    if image.detail not in {"", "auto"}:
        if image.detail not in _LEVELS:
            raise unsupported(f"{at}.image.detail")
        written["mediaResolution"] = {"level": _LEVELS[image.detail]}
    return written


def write_audio(audio: Audio) -> dict[str, object]:
    """Write a sound."""
    return _inline_data(audio.data, f"audio/{audio.format}")


def write_document(file: File, at: str) -> dict[str, object]:
    """Write a document. Gemini has no place for its name.

    Raises:
        UnsupportedError: It is with another provider, is to be cited, or of a kind that nobody names.
    """
    if file.file_id:
        raise unsupported(f"{at}.file.file_id")
    if file.is_cited:
        raise unsupported(f"{at}.file.is_cited")
    if file.uri:
        return _file_data(file.uri, file.media_type)
    media_type = file.media_type or _guessed(file.filename)
    if not media_type and file.data.startswith(b"%PDF-"):
        media_type = _PDF
    if not media_type:
        raise unsupported(f"{at}.file.media_type")
    return _inline_data(file.data, media_type)


def _inline_data(data: bytes, media_type: str) -> dict[str, object]:
    return {"inlineData": {"mimeType": media_type, "data": encoded(data)}}


def _file_data(uri: str, media_type: str) -> dict[str, object]:
    written = {"fileUri": uri}
    if media_type := media_type or _guessed(uri.partition("?")[0]):
        written["mimeType"] = media_type
    return {"fileData": written}


def _guessed(name: str) -> str:
    return mimetypes.guess_type(name)[0] or ""
