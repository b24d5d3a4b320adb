"""The usage streams of the store, one a shard, as the ledger reads them: as a consumer group.

What one process has taken, others do not get, unless it does not finish in time.
"""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from msgspec import Struct
from redis.exceptions import RedisError

from meshgate.quota.ledger.intake import Told
from meshgate.quota.ledger.keeper import MOST_ENTRIES, Backlog, Taken
from meshgate.quota.redis_nodes import RedisNodes, ScriptCall
from meshgate.quota.redis_scripts import Script
from meshgate.quota.shards import SHARD_COUNT, tag_of
from meshgate.runtime.deadline import Deadline

_FEWEST_A_SHARD = 16
_MOST_AN_ORDER = 1_000
_WAIT_SECONDS = 1.0
_POLL_SECONDS = 0.25
_NEVER = float("-inf")


def _script(name: str) -> Script:
    return Script(name, (files("meshgate.quota") / "scripts" / f"{name}.lua").read_text())


_TAKE, _DONE = _script("usage_take"), _script("usage_done")


def new_consumer() -> str:
    """A name for this process, that no other one has or had."""
    return f"{os.getpid()}-{secrets.token_hex(6)}"


class Patience(Struct, frozen=True):
    """How long others are waited for.

    Attributes:
        idle_seconds: What somebody has taken for so long is taken from him.
        gone_seconds: Who has not been heard of for so long, and owes nothing, is forgotten.
        answer_seconds: So long the store may take to answer.
    """

    idle_seconds: float = 15.0
    gone_seconds: float = 86_400.0
    answer_seconds: float = 5.0


_USUAL = Patience()


class UsageStream:
    """A `UsageSource`: all shards together.

    Args:
        nodes: Where they are.
        consumer: Who reads.
        patience: With others, and with the store.
        moment: The time in seconds. Tests give it.
    """

    def __init__(
        self,
        nodes: RedisNodes,
        consumer: str,
        patience: Patience = _USUAL,
        moment: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nodes = nodes
        self._consumer = consumer
        self._patience = patience
        self._moment = moment
        self._claimed_at = _NEVER
        self._lengths = [0] * SHARD_COUNT

    async def take(self) -> Taken:
        idle_ms, now = 0, self._moment()
        if now - self._claimed_at >= self._patience.idle_seconds / 2:
            idle_ms, self._claimed_at = max(1, _milliseconds(self._patience.idle_seconds)), now
        replies = await self._asked(self._shares(), idle_ms)
        self._lengths = [length for _, length, *_ in replies]
        told = [
            Told(shard, entry_id.decode(), dict(zip(fields[::2], fields[1::2], strict=False)))
            for shard, (entries, *_) in enumerate(replies)
            for entry_id, fields in entries
        ]
        return Taken(told, _backlog(replies))

    async def measure(self) -> Backlog:
        return _backlog(await self._asked([0] * SHARD_COUNT, 0))

    async def drop(self, told: Sequence[Told]) -> None:
        ids: dict[int, list[str]] = {}
        for one in told:
            ids.setdefault(one.shard, []).append(one.stream_id)
        calls = [
            ScriptCall(shard, tuple(found[begin : begin + _MOST_AN_ORDER]))
            for shard, found in ids.items()
            for begin in range(0, len(found), _MOST_AN_ORDER)
        ]
        await self._nodes.run(_DONE, calls, Deadline.after(self._patience.answer_seconds))

    async def wait(self) -> None:
        """Where all streams are on one server, it says when something comes; others are asked."""
        node = self._nodes.only
        if node is None:
            await asyncio.sleep(_POLL_SECONDS)
            return
        keys = [f"{tag_of(shard)}usage" for shard in range(SHARD_COUNT)]
        milliseconds = _milliseconds(_WAIT_SECONDS)
        command = (
            "XREAD",
            "COUNT",
            1,
            "BLOCK",
            milliseconds,
            "STREAMS",
            *keys,
            *("$" for _ in keys),
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * _WAIT_SECONDS):
                try:
                    (answer,) = await node.send([command])
                except (RedisError, OSError) as error:
                    answer = error
                if isinstance(answer, Exception):
                    # Whoever takes next is told.
                    await asyncio.sleep(_POLL_SECONDS)

    def _shares(self) -> list[int]:
        """How many entries to take of each shard: where more was last time, more."""
        all_of_them = sum(self._lengths) or 1
        return [
            max(_FEWEST_A_SHARD, MOST_ENTRIES * length // all_of_them) for length in self._lengths
        ]

    async def _asked(self, counts: Sequence[int], idle_ms: int) -> list[Any]:
        """Of each shard: entries, how many there are, the id of the first, and the time."""
        gone_ms = _milliseconds(self._patience.gone_seconds)
        calls = [
            ScriptCall(shard, (self._consumer, count, idle_ms, gone_ms))
            for shard, count in enumerate(counts)
        ]
        return await self._nodes.run(_TAKE, calls, Deadline.after(self._patience.answer_seconds))


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1_000)


def _backlog(replies: Sequence[Any]) -> Backlog:
    ages = [int(now) - int(first.partition(b"-")[0]) for _, _, first, now in replies if first]
    waiting = sum(length for _, length, *_ in replies)
    return Backlog(waiting, max(0, *ages, 0) / 1_000)
