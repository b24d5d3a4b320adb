"""What an answer of Cohere's cites, read into the neutral form: one citation for each source."""

from collections.abc import Iterator

from msgspec import Struct

from meshgate.dialects.cohere_chat.fields import DOCUMENT
from meshgate.dialects.neutral import Citation

_IN_TEXT = "TEXT_CONTENT"


class _Source(Struct):
    id: str | None = None
    document: dict[str, object] | None = None


class WireCitation(Struct):
    """A citation as it stands in the JSON; `start` and `end` are in the text that bears it."""

    start: int | None = None
    end: int | None = None
    sources: list[_Source] | None = None
    content_index: int | None = None
    type: str | None = None

    @property
    def is_of_text(self) -> bool:
        """Whether it is what the answer says that is backed, and not a thought or a plan."""
        return self.type in (None, _IN_TEXT)


def read(citation: WireCitation, offset: int = 0) -> Iterator[Citation]:
    """Read a citation; the text that bears it begins `offset` characters into the whole."""
    start, end = citation.start, citation.end
    for source in citation.sources or ():
        document = source.document or {}
        yield Citation(
            uri=_text(document.get("url")),
            title=_text(document.get("title")) or source.id or "",
            document=_number(source.id or ""),
            start=None if start is None else start + offset,
            end=None if end is None else end + offset,
        )


def _number(source_id: str) -> int | None:
    number = source_id.removeprefix(DOCUMENT)
    return int(number) if number != source_id and number.isdecimal() else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
