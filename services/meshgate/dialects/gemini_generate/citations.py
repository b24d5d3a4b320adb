"""What an answer cites: Google tells places in bytes, the neutral form in characters."""

from collections.abc import Iterator, Sequence

from meshgate.dialects.gemini_generate.answers import Candidate, GroundingChunk
from meshgate.dialects.neutral import Citation

_LIMIT_BYTES = 2 * 1024 * 1024


class CitedText:
    """The text of an answer, as far as is needed to find places in it."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._is_whole = True

    def add(self, text: str) -> None:
        """Take more of it; what is very long is given up."""
        encoded = text.encode(errors="replace")
        if len(self._text) + len(encoded) > _LIMIT_BYTES:
            self._is_whole = False
        else:
            self._text += encoded

    @property
    def words(self) -> str:
        """All of it; nothing where it was given up."""
        return self._text.decode() if self._is_whole else ""

    def place(self, at: int | None) -> int | None:
        """The character that begins at a byte; None where that is not known."""
        if at is None or not self._is_whole or not 0 <= at <= len(self._text):
            return None
        return len(self._text[:at].decode(errors="replace"))


def read(candidate: Candidate, text: CitedText) -> Iterator[Citation]:
    """What a candidate says that its text cites."""
    recited = candidate.citation_metadata
    if recited is not None:
        for source in recited.citation_sources or recited.citations or ():
            yield Citation(
                uri=source.uri or "",
                title=source.title or "",
                start=text.place(source.start_index),
                end=text.place(source.end_index),
            )
    grounding = candidate.grounding_metadata
    if grounding is not None:
        chunks = grounding.grounding_chunks or []
        for support in grounding.grounding_supports or ():
            for number in support.grounding_chunk_indices or ():
                if support.segment is not None and 0 <= number < len(chunks):
                    places = (support.segment.start_index, support.segment.end_index)
                    yield _grounded(chunks[number], text, *places)


class Grounding:
    """Writes `groundingMetadata`."""

    def __init__(self) -> None:
        self._chunks: list[dict[str, object]] = []
        self._supports: list[dict[str, object]] = []

    def add(self, citations: Sequence[Citation], text: str, offset: int = 0) -> None:
        """What a text cites, which begins at a byte of the answer."""
        for citation in citations:
            if citation.end is not None and text:
                self._supports.append(_support(citation, text, offset, len(self._chunks)))
            self._chunks.append(_chunk(citation))

    def written(self) -> dict[str, object] | None:
        """The member; None where nothing is cited."""
        if not self._chunks:
            return None
        return {"groundingChunks": self._chunks, "groundingSupports": self._supports}


def _chunk(citation: Citation) -> dict[str, object]:
    members = {"uri": citation.uri, "title": citation.title}
    if not citation.uri:
        members["text"] = citation.quoted
    told = {name: value for name, value in members.items() if value}
    return {"web" if citation.uri else "retrievedContext": told}


def _support(citation: Citation, text: str, offset: int, number: int) -> dict[str, object]:
    start, end = citation.start or 0, citation.end
    segment = {
        "startIndex": offset + _bytes(text[:start]),
        "endIndex": offset + _bytes(text[:end]),
        "text": text[start:end],
    }
    return {"segment": segment, "groundingChunkIndices": [number]}


def _grounded(chunk: GroundingChunk, text: CitedText, start: int, end: int | None) -> Citation:
    site = chunk.web or chunk.retrieved_context
    return Citation(
        uri=(site.uri if site else None) or "",
        title=(site.title if site else None) or "",
        quoted=(site.text if site else None) or "",
        start=text.place(start),
        end=text.place(end),
    )


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))
