"""Instances of a peer that come and go, and a name server that says where they are."""

from runtime.binding import IDENTITY
from runtime.scripted import ScriptedProvider

from meshgate.runtime.channel import Address
from meshgate.runtime.health import Health
from meshgate.runtime.interception import intercepted
from meshgate.runtime.server import Server, make_server


class Replica:
    """One instance of the provider."""

    def __init__(self) -> None:
        self.provider = ScriptedProvider()
        self.health = Health()
        self.health.serve()
        self.port = 0
        self._server: Server | None = None

    async def start(self, host: str = "127.0.0.1") -> None:
        methods = (
            *intercepted(self.provider.implementation(), IDENTITY),
            *intercepted(self.health.implementation(), IDENTITY),
        )
        self._server = make_server("native", methods)
        self.port = await self._server.start(f"{host}:{self.port}")

    async def kill(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
            self._server = None

    @property
    def address(self) -> Address:
        return ("127.0.0.1", self.port)

    @property
    def calls(self) -> int:
        return len(self.provider.seen)


class NameServer:
    """Says what a name stands for, until it goes away."""

    def __init__(self, *addresses: Address) -> None:
        self.addresses = set(addresses)
        self.error: Exception | None = None

    async def lookup(self, _host: str, _port: int) -> set[Address]:
        if self.error is not None:
            raise self.error
        return set(self.addresses)
