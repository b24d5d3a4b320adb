"""AWS's keys that expire."""

from meshgate.provider.credentials.aws_signature import AwsKeys
from meshgate.provider.credentials.expiring import Expiring
from meshgate.provider.upstream import UpstreamClient


class FetchedKeys:
    """Keys that expire, with the client that they are fetched by; it is closed with them."""

    def __init__(self, client: UpstreamClient, keys: Expiring[AwsKeys]) -> None:
        self._client = client
        self._keys = keys

    async def get(self) -> AwsKeys:
        return await self._keys.get()

    async def close(self) -> None:
        await self._keys.close()
        await self._client.close()
