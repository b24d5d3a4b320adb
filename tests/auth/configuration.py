"""A configuration that tests change, and the secrets that it refers to."""

import asyncio
from collections.abc import AsyncIterator

from meshgate.config.secrets import SecretReference, SecretUnresolvedError
from meshgate.config.snapshot import Key, Snapshot


class Secrets:
    """Each variable `X` holds `secret of X`, but those that a test says are missing or others."""

    def __init__(self, **values: str | None) -> None:
        self._values = values

    def resolve(self, reference: SecretReference) -> str:
        value = self._values.get(reference.name, f"secret of {reference.name}")
        if value is None:
            raise SecretUnresolvedError(f"{reference.name} is not set")
        return value


class ChangingSource:
    """A source whose snapshot the test replaces."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._new: asyncio.Queue[Snapshot] = asyncio.Queue()

    def current(self) -> Snapshot:
        return self._snapshot

    def replace(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._new.put_nowait(snapshot)

    async def changes(self) -> AsyncIterator[Snapshot]:
        while True:
            yield await self._new.get()


def key(name: str, **fields) -> Key:
    return Key(name, secret=SecretReference("env", fields.pop("variable", name)), **fields)


def snapshot(*keys: Key) -> Snapshot:
    return Snapshot(repr(keys), keys={key.key_id: key for key in keys})
