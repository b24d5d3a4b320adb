"""Cohere, by the second version of its API."""

from contextlib import suppress

from meshgate.dialects.translation import translator
from meshgate.provider.api import Api, Connection, Endpoint, hidden_texts, joined_headers
from meshgate.provider.apis.chat_endpoints import chat_endpoints
from meshgate.runtime.errors import UnsupportedError

_EMBEDDINGS = ("openai_embeddings", "gemini_embeddings")


def cohere_api(connection: Connection) -> Api:
    """The API of Cohere; the connection's `base_url` is without its version."""
    base_url, api_key = connection.base_url, connection.api_key
    endpoints = dict(chat_endpoints("cohere_chat", f"{base_url}/v2/chat"))
    endpoints["rerank"] = Endpoint(f"{base_url}/v2/rerank", translator("rerank", "rerank"))
    for dialect in _EMBEDDINGS:
        with suppress(UnsupportedError):
            between = translator(dialect, "cohere_embeddings")
            endpoints[dialect] = Endpoint(f"{base_url}/v2/embed", between)
    return Api(
        endpoints=endpoints,
        headers=joined_headers({"authorization": f"Bearer {api_key}"}, connection.headers),
        hidden=hidden_texts(base_url, (api_key, *connection.headers.values())),
    )
