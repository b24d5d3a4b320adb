"""Cohere, by the second version of its API."""

from meshgate.provider.api import Api, Connection, hidden_texts, joined_headers
from meshgate.provider.apis.chat_endpoints import chat_endpoints


def cohere_api(connection: Connection) -> Api:
    """The API of Cohere; the connection's `base_url` is without its version."""
    base_url, api_key = connection.base_url, connection.api_key
    return Api(
        endpoints=chat_endpoints("cohere_chat", f"{base_url}/v2/chat"),
        headers=joined_headers({"authorization": f"Bearer {api_key}"}, connection.headers),
        hidden=hidden_texts(base_url, (api_key, *connection.headers.values())),
    )
