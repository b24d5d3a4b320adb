"""Upstreams that speak Anthropic's API: Anthropic itself, and whatever is compatible with it.

What the gateway writes is of the version 2023-06-01, the last one that takes `temperature`, `top_p` and
`top_k`. Where a caller speaks the API too, its own version and betas are told.
"""

from contextlib import suppress

from meshgate.dialects.translation import CALLER_DIALECTS, translator
from meshgate.provider.api import Api, Connection, Endpoint, hidden_texts, joined_headers
from meshgate.runtime.errors import UnsupportedError

VERSION = "2023-06-01"
_MESSAGES = "anthropic_messages"
_TOKEN_COUNT = "anthropic_token_count"  # noqa: S105 - no secret
_PASSED_HEADERS = ("anthropic-version", "anthropic-beta")
_SHOWN_HEADERS = (
    ("request-id", "x-upstream-request-id"),
    ("request-id", "request-id"),
)


def anthropic_api(connection: Connection) -> Api:
    """The API of such an upstream; its `base_url` is with the API's `/v1`."""
    base_url, api_key = connection.base_url, connection.api_key
    own = {"anthropic-version": VERSION} | ({"x-api-key": api_key} if api_key else {})
    return Api(
        endpoints=_endpoints(f"{base_url}/messages"),
        headers=joined_headers(own, connection.headers),
        shown_headers=_SHOWN_HEADERS,
        hidden=hidden_texts(base_url, (api_key, *connection.headers.values())),
    )


def _endpoints(url: str) -> dict[str, Endpoint]:
    endpoints = {}
    for dialect in CALLER_DIALECTS:
        with suppress(UnsupportedError):  # some are told by nobody else
            endpoints[dialect] = Endpoint(url, translator(dialect, _MESSAGES))
    return endpoints | {
        _MESSAGES: Endpoint(url, translator(_MESSAGES, _MESSAGES), passed_headers=_PASSED_HEADERS),
        _TOKEN_COUNT: Endpoint(
            f"{url}/count_tokens",
            translator(_TOKEN_COUNT, _TOKEN_COUNT),
            passed_headers=_PASSED_HEADERS,
        ),
    }
