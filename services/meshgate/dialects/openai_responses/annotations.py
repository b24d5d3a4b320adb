"""What a text cites, as annotations of it, to and from the neutral form.

A citation of a document of the request is a `file_citation` without the id of a file: of it this API
can say no more than its name and number. What is quoted has no place here.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.answers import UNREADABLE
from meshgate.dialects.neutral import Citation


class _Annotation(Struct):
    type: str = ""
    url: str | None = None
    title: str | None = None
    filename: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    index: int | None = None


_ANNOTATION = msgspec.json.Decoder(_Annotation)
_FILES = ("file_citation", "container_file_citation")


def read(annotations: Sequence[Raw]) -> tuple[Citation, ...]:
    """Read annotations; what is not a citation, or cannot be read, cites nothing."""
    found = (read_one(raw) for raw in annotations)
    return tuple(citation for citation in found if citation is not None)


def read_one(raw: Raw) -> Citation | None:
    """Read one annotation; None if it cites nothing."""
    try:
        annotation = _ANNOTATION.decode(raw)
    except UNREADABLE:
        return None
    if annotation.type == "url_citation":
        return Citation(
            uri=annotation.url or "",
            title=annotation.title or "",
            start=annotation.start_index,
            end=annotation.end_index,
        )
    if annotation.type in _FILES:
        return Citation(
            title=annotation.filename or "",
            document=annotation.index if annotation.type == "file_citation" else None,
            start=annotation.start_index,
            end=annotation.end_index,
        )
    return None


def write(citation: Citation, text_length: int) -> dict[str, object]:
    """Write a citation of a text that has so many characters: at its end, where nobody knows."""
    if not citation.uri and citation.document is not None:
        return {
            "type": "file_citation",
            "file_id": "",
            "filename": citation.title,
            "index": citation.document,
        }
    end = text_length if citation.end is None else citation.end
    return {
        "type": "url_citation",
        "url": citation.uri,
        "title": citation.title,
        "start_index": end if citation.start is None else citation.start,
        "end_index": end,
    }
