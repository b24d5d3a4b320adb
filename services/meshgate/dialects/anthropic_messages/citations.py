"""What an answer cites, as Anthropic's JSON says it.

Sources: "Citations" in Anthropic's documentation and the types of its Python SDK, 2026-11-29. Where
a citation of another upstream does not say where in its document it stands, it is told to begin at
the document's beginning: the member may not be missing.
"""

from collections.abc import Sequence

from msgspec import Struct

from meshgate.dialects.neutral import Citation


class WireCitation(Struct, gc=False):
    """A citation as it stands in the JSON, of whatever type."""

    type: str = ""
    cited_text: str | None = None
    document_index: int | None = None
    document_title: str | None = None
    start_char_index: int | None = None
    end_char_index: int | None = None
    start_page_number: int | None = None
    end_page_number: int | None = None
    start_block_index: int | None = None
    end_block_index: int | None = None
    url: str | None = None
    source: str | None = None
    title: str | None = None


# How a document is counted in, and how Anthropic calls that.
_UNITS = {"char": "char_location", "page": "page_location", "block": "content_block_location"}
_ENDINGS = {"char": "char_index", "page": "page_number", "block": "block_index"}


def read(found: WireCitation, start: int | None = None, end: int | None = None) -> Citation:
    """A citation of the statement that begins and ends at these places of its text."""
    unit = next((unit for unit, kind in _UNITS.items() if kind == found.type), "")
    first, last = {
        "char": (found.start_char_index, found.end_char_index),
        "page": (found.start_page_number, found.end_page_number),
        "block": (found.start_block_index, found.end_block_index),
    }.get(unit, (None, None))
    return Citation(
        uri=found.url or found.source or "",
        title=found.title or found.document_title or "",
        quoted=found.cited_text or "",
        document=found.document_index,
        start=start,
        end=end,
        source_unit=unit,
        source_start=first,
        source_end=last,
    )


def read_all(found: Sequence[WireCitation], start: int, end: int) -> tuple[Citation, ...]:
    """All of them, of one statement."""
    return tuple(read(each, start, end) for each in found)


def write(citation: Citation) -> dict[str, object]:
    """A citation for a caller."""
    if citation.document is None:
        return {
            "type": "web_search_result_location",
            "cited_text": citation.quoted,
            "url": citation.uri,
            "title": citation.title or None,
            "encrypted_index": "",
        }
    unit = citation.source_unit or "char"
    begin = citation.source_start or 0
    end = len(citation.quoted) if citation.source_end is None else citation.source_end
    return {
        "type": _UNITS.get(unit, _UNITS["char"]),
        "cited_text": citation.quoted,
        "document_index": citation.document,
        "document_title": citation.title or None,
        f"start_{_ENDINGS.get(unit, _ENDINGS['char'])}": begin,
        f"end_{_ENDINGS.get(unit, _ENDINGS['char'])}": end,
    }
