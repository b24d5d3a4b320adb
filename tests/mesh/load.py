"""Callers who ask until they are refused, and what each of them was told."""

import asyncio
import json
import secrets
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx
from gateway_process import Gateway

BOUND_SECONDS = 60
CLIENTS = 4


@dataclass(frozen=True)
class Told:
    """What a caller got: the tokens, where the answer came in full."""

    status: int
    usage: tuple[int, int] | None = None


@dataclass
class Load:
    """Callers of one key, who ask until its limit is reached; by the ids of their requests."""

    gateway: Gateway
    key_id: str
    key: str
    told: dict[str, Told] = field(default_factory=dict)

    async def run(self) -> None:
        async with asyncio.timeout(BOUND_SECONDS), asyncio.TaskGroup() as clients:
            for number in range(CLIENTS):
                clients.create_task(self._client(is_streamed=bool(number % 2)))

    @property
    def full(self) -> dict[str, tuple[int, int]]:
        """The answers that came in full."""
        return {name: told.usage for name, told in self.told.items() if told.usage is not None}

    @property
    def statuses(self) -> Counter[int]:
        """How many requests ended how; 0 where the connection broke."""
        return Counter(told.status for told in self.told.values())

    async def ask(self, client: httpx.AsyncClient, *, is_streamed: bool) -> Told:
        """One request, noted from its beginning on."""
        name = f"{self.key_id}-{secrets.token_hex(6)}"
        self.told[name] = Told(0)
        told = self.told[name] = await self._ask(client, name, is_streamed=is_streamed)
        return told

    async def ask_until_answered(self, client: httpx.AsyncClient, *, is_streamed: bool) -> None:
        """Again while it is refused, as by what is still starting."""
        while (await self.ask(client, is_streamed=is_streamed)).status != 200:
            await asyncio.sleep(0.1)

    async def _client(self, *, is_streamed: bool) -> None:
        refused = 0
        async with self.gateway.client(self.key) as client:
            while refused < 3:
                told = await self.ask(client, is_streamed=is_streamed)
                refused = refused + 1 if told.status == 429 else 0
                if told.status not in {200, 429}:
                    await asyncio.sleep(0.25)  # what it waits for takes a while

    async def _ask(self, client: httpx.AsyncClient, name: str, *, is_streamed: bool) -> Told:
        words = " ".join(["word"] * (1 + len(self.told) % 8))
        body: dict[str, Any] = {
            "model": "everything",
            "messages": [{"role": "user", "content": f"{name} {words}"}],
            "max_tokens": 10,
        }
        if is_streamed:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        try:
            answer = await client.post(
                "/v1/chat/completions", json=body, headers={"x-request-id": name}
            )
        except httpx.TransportError:
            return Told(0)
        if answer.status_code != 200:
            return Told(answer.status_code)
        return Told(200, _usage(answer.text) if is_streamed else _tokens(answer.json()["usage"]))


def _usage(stream: str) -> tuple[int, int] | None:
    """What a stream says at its end; None if it broke off."""
    if "data: [DONE]" not in stream:
        return None
    [event] = [line for line in stream.splitlines() if '"usage":{' in line]
    return _tokens(json.loads(event.removeprefix("data: "))["usage"])


def _tokens(usage: dict[str, int]) -> tuple[int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"]
