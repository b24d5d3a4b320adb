"""Requests to AWS, signed with keys that stay, or with ones that expire."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from meshgate.provider.api import Headers
from meshgate.provider.credentials.aws_signature import AwsKeys, Scope, signed


def _utc_now() -> datetime:
    return datetime.now(UTC)


class KeySource(Protocol):
    """Where keys come from."""

    async def get(self) -> AwsKeys:
        """The keys.

        Raises:
            AttemptFailedError: There are none at the moment.
        """
        ...

    async def close(self) -> None:
        """Give back what is held."""
        ...


class StandingKeys:
    """Keys that stay as long as the configuration does."""

    def __init__(self, keys: AwsKeys) -> None:
        self._keys = keys

    async def get(self) -> AwsKeys:
        return self._keys

    async def close(self) -> None:
        """Nothing is held."""


class SignedRequests:
    """Signs each request.

    Args:
        keys: What it signs with; closed with this.
        scope: What for.
        now: The time.
    """

    def __init__(
        self,
        keys: KeySource,
        scope: Scope,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._keys = keys
        self._scope = scope
        self._now = now

    async def headers(self, url: str, headers: Headers, body: bytes) -> Headers:
        keys = await self._keys.get()
        return signed(url, headers, body, keys=keys, scope=self._scope, at=self._now())

    async def close(self) -> None:
        await self._keys.close()
