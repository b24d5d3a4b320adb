"""AWS's keys that expire."""

from meshgate.provider.credentials.aws_signature import AwsKeys
from meshgate.provider.credentials.expiring import Expiring
from meshgate.provider.upstream import UpstreamClient


class FetchedKeys:
    """Keys that expire, with the client that they are fetched by, if there is one; it is closed too."""

    def __init__(self, keys: Expiring[AwsKeys], client: UpstreamClient | None = None) -> None:
        self._keys = keys
        self._client = client

    async def get(self) -> AwsKeys:
        return await self._keys.get()

    async def close(self) -> None:
        await self._keys.close()
        if self._client is not None:
            await self._client.close()
