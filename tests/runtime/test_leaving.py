"""An instance that is left is freed, so that grpc tries to reach it no longer."""

import gc
import weakref

from runtime.binding import until

from meshgate.runtime.channel import Address, RemoteChannel


async def test_an_instance_that_is_left_is_freed_without_a_garbage_collection() -> None:
    addresses = {("127.0.0.1", 1)}

    async def lookup(_host: str, _port: int) -> set[Address]:
        return set(addresses)

    channel = RemoteChannel("provider", ["provider:9000"], (), lookup=lookup)
    gc.disable()
    try:
        await channel.resolve()
        left = weakref.ref(channel.instances[0])
        addresses.clear()
        await channel.resolve()

        await until(lambda: left() is None)
    finally:
        gc.enable()
        await channel.close()
