"""One Redis server: connections to it, and batches of commands that go to it in one packet."""

from collections.abc import Mapping, Sequence
from typing import Any

import hiredis
import structlog
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from meshgate.quota.redis_address import Place

_log = structlog.get_logger("meshgate.quota.redis")

_CONNECT_SECONDS = 1.0
_KEEPS_ALL = "noeviction"
_MOST_IDLE = 64

Command = tuple[Any, ...]
Answer = Any
"""What the server answered to a command; a ResponseError where that is what it answered."""


class RedisNode:
    """Connections to one server. Each carries one batch at a time, so that none waits for another's.

    Attributes:
        place: Where it is.
        keeps: Whether it can say that something is on its disk; None until it was asked.
    """

    def __init__(self, place: Place, options: Mapping[str, Any]) -> None:
        self.place = place
        self.keeps: bool | None = None
        self._options = dict(options)
        self._class: type[Connection] = self._options.pop("connection_class", Connection)
        self._idle: list[Connection] = []

    async def send(self, commands: Sequence[Command]) -> list[Answer]:
        """The answers to some commands, in order.

        Raises:
            RedisError, OSError: The server does not answer. Whether it did what it was told is
                not known.
        """
        connection = self._idle.pop() if self._idle else self._connection()
        try:
            # By hiredis: the library's own asyncio connections write them in Python.
            packet = b"".join(map(hiredis.pack_command, commands))
            await connection.send_packed_command(packet, check_health=False)
            answers = [await _answer(connection) for _ in commands]
        except (RedisError, OSError):
            # The others are likely to be broken as well, and the name may stand for another server.
            await self.close()
            await connection.disconnect(nowait=True)
            raise
        except BaseException:
            # What is still on its way would be taken for the answer to something else.
            await connection.disconnect(nowait=True)
            raise
        if len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            await connection.disconnect(nowait=True)
        return answers

    async def close(self) -> None:
        """Close the connections that nobody uses."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.disconnect(nowait=True)

    def found_keeping(self, answer: Answer) -> bool:
        """Note whether the server knows WAITAOF and writes to its disk, and tell it once if not."""
        keeps = not isinstance(answer, ResponseError)
        if not keeps and self.keeps is not False:
            _log.warning(
                "settlements are acknowledged before they are on disk: the Redis server writes no "
                "append-only file, or is older than 7.2",
                server=f"{self.place[0]}:{self.place[1]}",
            )
        self.keeps = keeps
        return keeps

    def found_evicting(self, memory: Answer) -> None:
        """Tell of a server that may throw counters away when its memory is full.

        `memory` is what it says to `INFO memory`; one that may not say so says an error.
        """
        if isinstance(memory, bytes) and b"maxmemory_policy:" in memory:
            policy = memory.partition(b"maxmemory_policy:")[2].split()[0].decode()
            if policy != _KEEPS_ALL:
                _log.error(
                    "the Redis server evicts keys when its memory is full, and spent budgets with"
                    " them: set its maxmemory-policy to noeviction",
                    server=f"{self.place[0]}:{self.place[1]}",
                    policy=policy,
                )

    def _connection(self) -> Connection:
        host, port = self.place
        return self._class(
            host=host,
            port=port,
            protocol=2,
            socket_connect_timeout=_CONNECT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            **self._options,
        )


async def _answer(connection: Connection) -> Answer:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
