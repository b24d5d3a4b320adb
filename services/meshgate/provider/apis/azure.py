"""Models of OpenAI's in Azure.

https://learn.microsoft.com/azure/ai-foundry/openai/reference and `.../api-version-lifecycle`: the newer
API lies under `/openai/v1` and is OpenAI's own; the older has the deployment in its address, and a
version in its query.
"""

from collections.abc import Callable
from functools import partial

from meshgate.dialects.openai_chat.variant import OPENAI
from meshgate.dialects.translation import translator
from meshgate.provider.api import (
    Api,
    Connection,
    Endpoint,
    Headers,
    hidden_texts,
    joined_headers,
)
from meshgate.provider.apis.openai import EVERYTHING, openai_api
from meshgate.provider.credentials.bearer import BearerTokens, entra_tokens
from meshgate.provider.upstream import UpstreamClient

_SHOWN_HEADERS: Headers = (
    ("apim-request-id", "x-upstream-request-id"),
    ("x-ms-region", "x-ms-region"),
)
_openai_api = partial(openai_api, variant=OPENAI, answers=EVERYTHING)
_CHAT = "chat/completions"
_PATHS = {"openai_completions": "completions", "openai_embeddings": "embeddings"}


def azure_api(connection: Connection, make_client: Callable[[], UpstreamClient]) -> Api:
    """The API of a resource.

    Args:
        connection: Its options are `api_version` for the older API, and for tokens in place of a key
            `authority`, `client_id`, `client_secret` and `scope`.
        make_client: Makes what tokens are fetched with.
    """
    options, api_key = connection.options, connection.api_key
    secrets = (api_key, options.get("client_secret", ""), *connection.headers.values())
    return Api(
        endpoints=_endpoints(connection),
        headers=joined_headers({"api-key": api_key} if api_key else {}, connection.headers),
        shown_headers=_SHOWN_HEADERS,
        hidden=hidden_texts(connection.base_url, secrets),
        credentials=_tokens(connection, make_client),
    )


def _endpoints(connection: Connection) -> dict[str, Endpoint]:
    base_url, version = connection.base_url, connection.options.get("api_version", "")
    if not version:
        same = Connection("openai", f"{base_url}/openai/v1")
        return dict(_openai_api(same).endpoints)
    prefix = f"{base_url}/openai/deployments/{{model}}"
    chat = f"{prefix}/{_CHAT}?api-version={version}"
    dialects = _openai_api(Connection("openai", prefix)).endpoints
    return {
        dialect: Endpoint(chat, endpoint.translator)
        for dialect, endpoint in dialects.items()
        if endpoint.url.endswith(_CHAT)
    } | {
        dialect: Endpoint(f"{prefix}/{path}?api-version={version}", translator(dialect, dialect))
        for dialect, path in _PATHS.items()
    }


def _tokens(
    connection: Connection, make_client: Callable[[], UpstreamClient]
) -> BearerTokens | None:
    options = connection.options
    if "client_secret" not in options:
        return None
    return entra_tokens(
        make_client(),
        options["authority"],
        options["client_id"],
        options["client_secret"],
        options["scope"],
    )
