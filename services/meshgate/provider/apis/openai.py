"""Upstreams that speak OpenAI's API: OpenAI itself, and whatever is compatible with it."""

from meshgate.dialects.openai_api.output_bound import OutputBound
from meshgate.dialects.translation import CALLER_DIALECTS, translator
from meshgate.provider.api import Api, Connection, Endpoint, hidden_texts, joined_headers
from meshgate.provider.apis.media import media_endpoints

_SHOWN_HEADERS = (
    ("x-request-id", "x-upstream-request-id"),
    ("openai-processing-ms", "openai-processing-ms"),
    ("openai-version", "openai-version"),
)
_PATHS = {
    "openai_completions": "completions",
    "openai_embeddings": "embeddings",
}


def openai_api(connection: Connection, bound: OutputBound = OutputBound.MAX_TOKENS) -> Api:
    """The API of such an upstream.

    Args:
        connection: Its `base_url` is with the API's version. An `authorization` among its headers takes
            the place of the key.
        bound: How the upstream is told how much it may write, where the caller does not say.
    """
    base_url, api_key = connection.base_url, connection.api_key
    endpoints = {
        dialect: Endpoint(f"{base_url}/chat/completions", translator(dialect, "openai_chat", bound))
        for dialect in CALLER_DIALECTS
        if dialect not in _PATHS
    }
    endpoints |= {
        dialect: Endpoint(f"{base_url}/{path}", translator(dialect, dialect))
        for dialect, path in _PATHS.items()
    }
    endpoints |= media_endpoints(base_url)
    return Api(
        endpoints=endpoints,
        headers=joined_headers(
            {"authorization": f"Bearer {api_key}"} if api_key else {}, connection.headers
        ),
        shown_headers=_SHOWN_HEADERS,
        hidden=hidden_texts(base_url, (api_key, *connection.headers.values())),
    )
