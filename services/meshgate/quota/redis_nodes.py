"""All nodes of the store: which shard is where, and what to do when one does not answer."""

import asyncio
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from meshgate.quota.redis_address import Place, RedisAddress
from meshgate.quota.redis_node import Answer, Command, RedisNode
from meshgate.quota.redis_scripts import Script
from meshgate.quota.shards import SHARD_COUNT, tag_of
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import ServiceUnavailableError

_log = structlog.get_logger("meshgate.quota.redis")

_SLOTS = tuple(key_slot(tag_of(shard).encode()) for shard in range(SHARD_COUNT))
_FIRST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.2
_WAITING = (ReadOnlyError, ClusterDownError, TryAgainError)
_WAITING_CODES = ("NOREPLICAS", "BUSY ", "UNBLOCKED")
_KEYS_A_LOOK = 1_000
_WAIT_SHARE = 0.9
_WAIT_MARGIN_SECONDS = 0.15


@dataclass(frozen=True)
class ScriptCall:
    """One call of a script.

    Attributes:
        shard: Where.
        arguments: What it is given.
    """

    shard: int
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Durability:
    """When something counts as kept.

    Attributes:
        replicas: On how many disks beside the primary's it must be.
    """

    replicas: int = 0


@dataclass
class _Pending:
    """A call that has not been answered yet."""

    number: int
    call: ScriptCall
    asked: Place | None = None


@dataclass
class _Round:
    """What one try has told."""

    answers: dict[int, Answer] = field(default_factory=dict)
    pending: list[_Pending] = field(default_factory=list)
    must_pause: bool = False
    is_lost: bool = False


class RedisNodes:
    """Runs scripts where their shards are, and again where that can help, until the deadline.

    Scripts must bear being run twice: a server may have done what it did not answer.
    """

    def __init__(self, address: RedisAddress) -> None:
        self._address = address
        self._nodes: dict[Place, RedisNode] = {}
        self._places: list[Place] = [address.places[0]] * SHARD_COUNT
        self._is_mapped = not address.is_cluster
        self._loaded: set[tuple[Place, str]] = set()

    async def run(
        self,
        script: Script,
        calls: Sequence[ScriptCall],
        deadline: Deadline,
        durability: Durability | None = None,
    ) -> list[Answer]:
        """The replies, in order. Calls of one shard are run in order.

        Args:
            script: What to run.
            calls: With what; each must be answered.
            deadline: For all of it.
            durability: Return only when what was written is kept so; None where that is no matter.

        Raises:
            ServiceUnavailableError: Not all could be run in time. Nothing is known of any.
        """
        try:
            async with asyncio.timeout(deadline.seconds_left()):
                return await self._run(script, calls, deadline, durability)
        except TimeoutError:
            raise _unavailable("does not answer in time") from None

    @property
    def only(self) -> RedisNode | None:
        """The server that has all shards; None for a cluster."""
        return None if self._address.is_cluster else self._node(self._places[0])

    async def keys(self, pattern: str, deadline: Deadline) -> set[bytes]:
        """All keys like a pattern, on all servers. While a shard moves, some may be missing.

        Raises:
            ServiceUnavailableError: Not all servers have answered in time.
        """
        try:
            async with asyncio.timeout(deadline.seconds_left()):
                if not self._is_mapped:
                    await self._map()
                found = [
                    await self._keys_of(place, pattern) for place in dict.fromkeys(self._places)
                ]
        except (RedisError, OSError, TimeoutError):
            self._is_mapped = not self._address.is_cluster
            raise _unavailable("does not answer in time") from None
        return set().union(*found)

    async def _keys_of(self, place: Place, pattern: str) -> set[bytes]:
        found: set[bytes] = set()
        cursor = b"0"
        while True:
            command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _KEYS_A_LOOK)
            (answer,) = await self._node(place).send([command])
            if isinstance(answer, ResponseError):
                raise answer
            cursor, keys = answer
            found.update(keys)
            if cursor == b"0":
                return found

    async def look_at_disks(self) -> None:
        """Tell operators of servers that cannot say when something is on their disk, or that evict.

        Raises:
            RedisError, OSError: A server does not answer.
        """
        if not self._is_mapped:
            await self._map()
        for place in dict.fromkeys(self._places):
            node = self._node(place)
            disk, memory = await node.send([("WAITAOF", 1, 0, 1), ("INFO", "memory")])
            node.found_keeping(disk)
            node.found_evicting(memory)

    async def close(self) -> None:
        for node in self._nodes.values():
            await node.close()

    async def _run(
        self,
        script: Script,
        calls: Sequence[ScriptCall],
        deadline: Deadline,
        durability: Durability | None,
    ) -> list[Answer]:
        answers: dict[int, Answer] = {}
        pending = [_Pending(number, call) for number, call in enumerate(calls)]
        pause = _FIRST_PAUSE_SECONDS
        while pending:
            if not self._is_mapped:
                await self._map()
            rounds = await self._try(script, pending, deadline, durability)
            pending = [one for tried in rounds for one in tried.pending]
            for tried in rounds:
                answers.update(tried.answers)
            if any(tried.is_lost for tried in rounds):
                self._is_mapped = not self._address.is_cluster
            if any(tried.must_pause for tried in rounds):
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return [answers[number] for number in range(len(calls))]

    async def _try(
        self,
        script: Script,
        pending: Iterable[_Pending],
        deadline: Deadline,
        durability: Durability | None,
    ) -> list[_Round]:
        groups: dict[Place, list[_Pending]] = {}
        for one in pending:
            groups.setdefault(one.asked or self._places[one.call.shard], []).append(one)
        ways = [
            self._try_node(self._node(place), script, group, deadline, durability)
            for place, group in groups.items()
        ]
        if len(ways) == 1:
            return [await ways[0]]
        # All of them to their end: a connection that is left alone in between is lost.
        rounds = []
        for tried in await asyncio.gather(*ways, return_exceptions=True):
            if isinstance(tried, BaseException):
                raise tried
            rounds.append(tried)
        return rounds

    async def _try_node(
        self,
        node: RedisNode,
        script: Script,
        group: Sequence[_Pending],
        deadline: Deadline,
        durability: Durability | None,
    ) -> _Round:
        commands = self._commands(node, script, group)
        if durability is not None:
            # Servers look at the time every 100 ms only.
            wait_ms = int((deadline.seconds_left() * _WAIT_SHARE - _WAIT_MARGIN_SECONDS) * 1_000)
            commands.append(("WAITAOF", 1, durability.replicas, max(wait_ms, 1)))
        try:
            answers = await node.send(commands)
        except (RedisError, OSError) as error:
            self._loaded.discard((node.place, script.sha))
            if isinstance(error, AuthenticationError):
                raise _unavailable("refuses the password of REDIS_URL") from None
            return _Round(pending=_anew(group), must_pause=True, is_lost=True)
        kept = durability is None or _is_kept(node, answers.pop(), durability)
        found = [
            answer
            for command, answer in zip(commands, answers, strict=False)
            if command[0] == "EVALSHA"
        ]
        tried = self._sorted(node, script, zip(group, found, strict=True))
        if tried.is_lost:
            # The name may stand for another server by now.
            await node.close()
        if not kept and tried.answers:
            raise _unavailable("has not written to its disk in time")
        return tried

    def _commands(
        self, node: RedisNode, script: Script, group: Iterable[_Pending]
    ) -> list[Command]:
        commands: list[Command] = []
        if (node.place, script.sha) not in self._loaded:
            commands.append(("SCRIPT", "LOAD", script.text))
        for one in group:
            if one.asked is not None:
                commands.append(("ASKING",))
            commands.append(_command(script, one.call))
        return commands

    def _sorted(
        self, node: RedisNode, script: Script, found: Iterable[tuple[_Pending, Answer]]
    ) -> _Round:
        tried = _Round()
        self._loaded.add((node.place, script.sha))
        for one, answer in found:
            if isinstance(answer, ResponseError):
                self._failed(node, script, one, answer, tried)
            else:
                tried.answers[one.number] = answer
        return tried

    def _failed(
        self, node: RedisNode, script: Script, one: _Pending, error: ResponseError, tried: _Round
    ) -> None:
        """Decide what becomes of a call that was refused."""
        asked = None
        if isinstance(error, MovedError):
            self._places[one.call.shard] = (error.host or node.place[0], error.port)
            tried.is_lost = tried.must_pause = True
        elif isinstance(error, AskError):
            asked = (error.host or node.place[0], error.port)
        elif isinstance(error, NoScriptError):
            self._loaded.discard((node.place, script.sha))
        elif isinstance(error, _WAITING) or str(error).startswith(_WAITING_CODES):
            tried.is_lost = tried.must_pause = True
        else:
            code = getattr(error, "status_code", None) or str(error).partition(" ")[0]
            _log.error("the store refused a script", script=script.name, error=str(error)[:200])
            raise _unavailable("has no memory left" if code == "OOM" else "cannot do it now")
        tried.pending.append(_Pending(one.number, one.call, asked))

    def _node(self, place: Place) -> RedisNode:
        node = self._nodes.get(place)
        if node is None:
            node = self._nodes[place] = RedisNode(place, self._address.options)
        return node

    async def _map(self) -> None:
        """Learn which node has which shard, from the first that tells."""
        known = dict.fromkeys([*self._places, *self._nodes, *self._address.places])
        for place in known:
            try:
                async with asyncio.timeout(_LONGEST_PAUSE_SECONDS):
                    answers = await self._node(place).send([("CLUSTER", "SLOTS")])
            except (RedisError, OSError, TimeoutError):
                continue
            owners = None if isinstance(answers[0], ResponseError) else _owners(answers[0], place)
            if owners is not None:
                self._places, self._is_mapped = owners, True
                return
        # Nobody knows: what was known before is tried again.
        self._is_mapped = True


def _anew(group: Iterable[_Pending]) -> list[_Pending]:
    return [_Pending(one.number, one.call) for one in group]


def _command(script: Script, call: ScriptCall) -> Command:
    tag = tag_of(call.shard)
    return (
        *("EVALSHA", script.sha, 3, f"{tag}grants", f"{tag}usage", f"{tag}alerts"),
        *call.arguments,
    )


def _is_kept(node: RedisNode, answer: Answer, durability: Durability) -> bool:
    """Whether it is on disk; where the server cannot say, that is all there is to wait for."""
    if not node.found_keeping(answer):
        return True
    local, replicas = answer
    return bool(local >= 1 and replicas >= durability.replicas)


def _owners(answer: Sequence[Any], asked: Place) -> list[Place] | None:
    """The place of each shard, from CLUSTER SLOTS; None unless all are served."""
    owner_of: dict[int, Place] = {}
    for first, last, primary, *_replicas in answer:
        host = primary[0].decode() if primary[0] else asked[0]
        for shard, slot in enumerate(_SLOTS):
            if first <= slot <= last:
                owner_of[shard] = (host, primary[1])
    if len(owner_of) < SHARD_COUNT:
        return None
    return [owner_of[shard] for shard in range(SHARD_COUNT)]


def _unavailable(why: str) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"the store of quota {why}", retry_after_seconds=1, service="quota"
    )
