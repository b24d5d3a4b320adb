"""What an answer has from where: the `annotations` of a message.

The API knows addresses only: `{"type": "url_citation", "url_citation": {"url", "title",
"start_index", "end_index"}}`; OpenRouter adds the cited `content`. Citations of the request's own
documents have no place in it and are left out of answers. In what is sent upstream there are none:
they were the reader's, and are no part of what the model said.

Sources: openai/openai-python, types/chat/chat_completion_message.py;
https://openrouter.ai/docs/features/web-search. Perplexity's own form of it is a list of addresses,
`citations`, beside the choices: https://docs.perplexity.ai/docs/sonar/openai-compatibility.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Raw, Struct

from meshgate.dialects.neutral import Citation


class _UrlCitation(Struct):
    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    content: str | None = None


class _Annotation(Struct):
    url_citation: _UrlCitation | None = None


_ANNOTATIONS = msgspec.json.Decoder(list[_Annotation])
_ADDRESSES = msgspec.json.Decoder(list[str])


def read(raw: Raw) -> tuple[Citation, ...]:
    """The citations among the annotations; none where they cannot be understood."""
    return tuple(
        Citation(
            uri=found.url,
            title=found.title or "",
            quoted=found.content or "",
            start=found.start_index,
            end=found.end_index,
        )
        for annotation in _decoded(_ANNOTATIONS, raw)
        if (found := annotation.url_citation) is not None
    )


def read_addresses(raw: Raw) -> tuple[Citation, ...]:
    """The citations that are given as addresses."""
    return tuple(Citation(uri=address) for address in _decoded(_ADDRESSES, raw))


def write(citations: Sequence[Citation], shift: int = 0) -> list[dict[str, object]]:
    """Citations as annotations; their places move by `shift`, where texts before are joined."""
    return [_written(citation, shift) for citation in citations if citation.uri]


def _written(citation: Citation, shift: int) -> dict[str, object]:
    # The places are not optional for clients.
    start, end = citation.start or 0, citation.end or 0
    if citation.end is not None:
        start, end = start + shift, end + shift
    cited: dict[str, object] = {
        "url": citation.uri,
        "title": citation.title,
        "start_index": start,
        "end_index": end,
    }
    if citation.quoted:
        cited["content"] = citation.quoted
    return {"type": "url_citation", "url_citation": cited}


def _decoded(decoder: msgspec.json.Decoder[list], raw: Raw) -> list:  # type: ignore[type-arg]
    if not bytes(raw).startswith(b"["):
        return []
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
