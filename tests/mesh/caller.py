"""A client with a key of its own, so that all that is booked of it is what a test has asked."""

from dataclasses import dataclass
from typing import Any

import httpx
from gateway_process import Gateway
from mesh.administration import Admin
from mesh.books import recorded

CHAT = "/v1/chat/completions"
TEXT = "one two three four five six"


@dataclass
class Caller:
    """One key, and all that is booked of it."""

    gateway: Gateway
    admin: Admin
    key_id: str
    key: str

    async def ask(
        self, text: str = TEXT, model: str = "counted", *, path: str = CHAT, **more: Any
    ) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        headers = more.pop("headers", {})
        async with self.gateway.client(self.key) as client:
            return await client.post(path, json=body | more, headers=headers)

    async def booked(self, count: int = 1) -> list[Any]:
        """The records, of which there are so many: those that came before one more request."""
        await recorded(self.gateway, self.key_id, count)
        marked = (await self.ask("the last one of all", model="vendor/demo")).status_code
        assert marked == 200
        found = await recorded(self.gateway, self.key_id, count + 1)
        found = [each for each in found if each.model != "vendor/demo"]
        assert len(found) == count
        assert len({record.hold_id for record in found}) == count
        return found

    async def record(self) -> Any:
        (record,) = await self.booked()
        return record

    async def charge(self) -> Any:
        """The only charge of the only record."""
        (charge,) = (await self.record()).charges
        return charge
