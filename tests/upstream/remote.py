"""Asks and scripts a fake upstream that runs in another process."""

from typing import Self

import httpx
import msgspec
from plain_http import TRUSTS_NOBODY

from upstream.behaviours import Behaviour, Match, Script
from upstream.records import Request


class RemoteUpstream:
    """Args: origin: For instance `http://127.0.0.1:9001`."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.base_url = f"{origin}/v1"
        self._client = httpx.AsyncClient(
            base_url=origin, timeout=30, trust_env=False, verify=TRUSTS_NOBODY
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def requests(self) -> list[Request]:
        answer = await self._client.get("/_/requests")
        return msgspec.json.decode(answer.raise_for_status().content, type=list[Request])

    async def ending(self, number: int = 0) -> Request:
        """Waits for the request of that number to have been answered, or not."""
        answer = await self._client.get(f"/_/requests/{number}")
        return msgspec.json.decode(answer.raise_for_status().content, type=Request)

    async def script(
        self, match: Match | str, behaviour: Behaviour, *, times: int | None = None
    ) -> None:
        """Decides the answers to the requests that match; a str is a text in their prompt."""
        wanted = Match(text=match) if isinstance(match, str) else match
        script = Script(match=wanted, behaviour=behaviour, times=times)
        answer = await self._client.post("/_/script", content=msgspec.json.encode(script))
        answer.raise_for_status()

    async def reset(self) -> None:
        """Makes it forget all requests and scripts."""
        for path in ("/_/requests", "/_/script"):
            (await self._client.delete(path)).raise_for_status()
