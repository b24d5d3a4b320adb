"""Messages passed from one task to another, one at a time."""

import asyncio
from typing import Generic, TypeVar

Message = TypeVar("Message")


class Handover(Generic[Message]):
    """Holds one message at most: who gives waits until the last one was taken.

    Iterate over it to take them all. No message may be None.
    """

    def __init__(self) -> None:
        self._message: Message | None = None
        self._closed = False
        self._changed = asyncio.Event()

    async def put(self, message: Message) -> bool:
        """Give a message, once there is room; False where nobody will take it any more."""
        while self._message is not None and not self._closed:
            await self._changed.wait()
        if self._closed:
            return False
        self._message = message
        self._tell()
        return True

    async def take(self) -> Message | None:
        """The next message; None where no more comes."""
        while self._message is None:
            if self._closed:
                return None
            await self._changed.wait()
        message, self._message = self._message, None
        self._tell()
        return message

    def close(self) -> None:
        """No more comes; what was given can still be taken."""
        self._closed = True
        self._tell()

    def drop(self) -> None:
        """Forget what was given, and take nothing more."""
        self._message = None
        self.close()

    def __aiter__(self) -> "Handover[Message]":
        return self

    async def __anext__(self) -> Message:
        message = await self.take()
        if message is None:
            raise StopAsyncIteration
        return message

    def _tell(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()
