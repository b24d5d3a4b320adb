"""What a Converse answer cites, read into the neutral form."""

from msgspec import Struct

from meshgate.dialects.neutral import Citation


class _Web(Struct):
    url: str | None = None


class _InDocument(Struct, rename="camel"):
    document_index: int | None = None
    start: int | None = None
    end: int | None = None


class _Location(Struct, rename="camel"):
    web: _Web | None = None
    document_char: _InDocument | None = None
    document_page: _InDocument | None = None
    document_chunk: _InDocument | None = None


class _Quoted(Struct):
    text: str | None = None


class WireCitation(Struct, rename="camel"):
    """A citation as it stands in the JSON."""

    title: str | None = None
    source: str | None = None
    source_content: list[_Quoted] | None = None
    location: _Location | None = None


def read(citation: WireCitation, *, start: int | None = None, end: int | None = None) -> Citation:
    """Read a citation; `start` and `end` are where its statement stands, in characters."""
    location = citation.location or _Location()
    places = (
        ("char", location.document_char),
        ("page", location.document_page),
        ("block", location.document_chunk),
    )
    found = ((unit, place) for unit, place in places if place is not None)
    unit, place = next(found, ("", _InDocument()))
    web = location.web.url if location.web is not None else None
    return Citation(
        uri=web or citation.source or "",
        title=citation.title or "",
        quoted="".join(it.text or "" for it in citation.source_content or ()),
        document=place.document_index,
        start=start,
        end=end,
        source_unit=unit,
        source_start=place.start,
        source_end=place.end,
    )
