"""Upstreams that speak Gemini's API: Google's own, and what is compatible with it."""

from meshgate.dialects.translation import CALLER_DIALECTS, translator
from meshgate.provider.api import Api, Connection, Endpoint, hidden_texts, joined_headers

_EMBEDDINGS = ("openai_embeddings", "gemini_embeddings")
# They ask for completions of a text, which no chat model makes.
_OTHERS = frozenset({"openai_completions"})
_SHOWN_HEADERS = (("x-gemini-service-tier", "x-gemini-service-tier"),)


def gemini_api(connection: Connection) -> Api:
    """The API of such an upstream; the base URL is with the API's version."""
    base_url, api_key = connection.base_url, connection.api_key
    models = f"{base_url}/models/{{model}}"
    endpoints = {
        dialect: Endpoint(
            f"{models}:generateContent",
            translator(dialect, "gemini_generate"),
            stream_url=f"{models}:streamGenerateContent?alt=sse",
        )
        for dialect in CALLER_DIALECTS
        if dialect not in _OTHERS
    }
    endpoints |= {
        dialect: Endpoint(f"{models}:batchEmbedContents", translator(dialect, "gemini_embeddings"))
        for dialect in _EMBEDDINGS
    }
    endpoints["gemini_token_count"] = Endpoint(
        f"{models}:countTokens", translator("gemini_token_count", "gemini_token_count")
    )
    return Api(
        endpoints=endpoints,
        headers=joined_headers({"x-goog-api-key": api_key} if api_key else {}, connection.headers),
        shown_headers=_SHOWN_HEADERS,
        hidden=hidden_texts(base_url, (api_key, *connection.headers.values())),
    )
