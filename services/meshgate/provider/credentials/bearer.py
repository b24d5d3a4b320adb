"""Tokens in the header `authorization`."""

from collections.abc import Awaitable, Callable
from functools import partial

from meshgate.provider.api import Headers
from meshgate.provider.credentials import token_service
from meshgate.provider.credentials.expiring import Expiring, Lasting
from meshgate.provider.upstream import UpstreamClient


class BearerTokens:
    """Proves requests with a token that expires.

    Args:
        client: What the token is fetched with; closed with this.
        token: The token.
    """

    def __init__(self, client: UpstreamClient, token: Expiring[str]) -> None:
        self._client = client
        self._token = token

    async def headers(self, url: str, headers: Headers, body: bytes) -> Headers:
        del url, body
        return (*headers, ("authorization", f"Bearer {await self._token.get()}"))

    async def close(self) -> None:
        await self._token.close()
        await self._client.close()


def entra_tokens(
    client: UpstreamClient, authority: str, client_id: str, client_secret: str, scope: str
) -> BearerTokens:
    """Tokens of Microsoft Entra ID by the flow of client credentials.

    https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow

    Args:
        client: What tokens are fetched with.
        authority: The address of the tenant, without a slash at its end.
        client_id: Who asks.
        client_secret: And proves it.
        scope: What for.
    """
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
        "scope": scope,
    }
    url = f"{authority}/oauth2/v2.0/token"
    fetch: Callable[[], Awaitable[Lasting[str]]] = partial(
        token_service.fetch_token, client, url, form
    )
    return BearerTokens(client, Expiring(fetch))
