"""connect(): the one way to a peer, whether it lives in this process or elsewhere."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any, Self

from meshgate.runtime.channel import RemoteChannel, parse_addresses
from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.service import Method


class Peers:
    """The peers of the services in this process.

    A service that was hosted here before is reached in-process; any other at the addresses in
    `MESHGATE_PEER_<SERVICE>`: `host:port,...`, or a DNS name with a port.

    Use as a context manager: remote channels are closed at its end.
    """

    def __init__(self, env: Environment, identity: MeshIdentity) -> None:
        self._env = env
        self._identity = identity
        self._hosted: dict[str, InProcessChannel] = {}
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    def host(self, name: str, methods: Iterable[Method]) -> None:
        """Make a service of this process known to those that are assembled after it."""
        self._hosted[name] = InProcessChannel(methods, self._identity.metadata())

    def knows(self, name: str) -> bool:
        """Whether there is such a service: hosted here before, or with an address."""
        variable = f"MESHGATE_PEER_{name.upper()}"
        return name in self._hosted or self._env.optional_text(variable) is not None

    async def connect(self, name: str) -> Any:
        """A channel to a service, for generated stubs.

        Raises:
            SettingError: The service is not hosted here, and no address is set for it.
        """
        if name in self._hosted:
            return self._hosted[name]
        variable = f"MESHGATE_PEER_{name.upper()}"
        try:
            addresses = parse_addresses(self._env.text(variable))
        except ValueError as error:
            raise SettingError(f"{variable}: {error}") from None
        channel = RemoteChannel(name, addresses, self._identity.metadata())
        self._exit.push_async_callback(channel.close)
        await channel.resolve()
        resolving = asyncio.create_task(channel.run(), name=f"resolve {name}")
        self._exit.push_async_callback(_cancelled, resolving)
        return channel


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
