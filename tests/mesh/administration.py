"""The admin API, as tests of limits use it."""

import asyncio
import os
import time
from typing import Any

import httpx

BOUND_SECONDS = 60


class Admin:
    """Makes keys with limits, changes and revokes them."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._count = 0

    async def key(self, *limits: dict[str, Any]) -> tuple[str, str]:
        """A new key with these limits: its id, and what clients send."""
        self._count += 1
        body = {"name": f"limits-{os.getpid()}-{time.time_ns()}", "limits": list(limits)}
        made = (await self._sent("POST", "/admin/v1/keys", body)).json()
        return made["key"]["id"], made["secret"]

    async def limit(self, key_id: str, *limits: dict[str, Any]) -> None:
        path = f"/admin/v1/keys/{key_id}?update_mask=limits"
        await self._sent("PATCH", path, {"limits": list(limits)})

    async def revoke(self, key_id: str) -> None:
        await self._sent("POST", f"/admin/v1/keys/{key_id}:revoke", {})

    async def _sent(self, method: str, path: str, body: dict[str, Any]) -> httpx.Response:
        """The answer; the services may just be coming back from what a test did to them."""
        async with asyncio.timeout(BOUND_SECONDS):
            while True:
                answer = await self._client.request(method, path, json=body)
                if answer.status_code != 503:
                    assert answer.status_code == 200, answer.text
                    return answer
                await asyncio.sleep(0.1)
