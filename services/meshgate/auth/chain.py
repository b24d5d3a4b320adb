"""All principals: those of the configuration, and those of the database."""

from collections.abc import Sequence

from meshgate.auth.changes import PrincipalChanges
from meshgate.auth.configured_keys import ConfiguredKeys
from meshgate.auth.feed import Changed
from meshgate.auth.issued_keys import IssuedKeys
from meshgate.auth.principals import Finding, Presented
from meshgate.config.snapshot import Snapshot
from meshgate.config.source import ConfigSource


class PrincipalChain:
    """A `PrincipalStore` that looks into the configuration first, and into the database then.

    It hears of the changes of both, and tells the watchers once they hold.
    """

    def __init__(
        self, configured: ConfiguredKeys, issued: IssuedKeys, changes: PrincipalChanges
    ) -> None:
        self._configured = configured
        self._issued = issued
        self._changes = changes

    async def find(self, presented: Sequence[Presented]) -> Sequence[Finding]:
        findings: list[Finding | None] = [
            self._configured.known(item.credential, item.client_address) for item in presented
        ]
        missing = [item for item, found in zip(presented, findings, strict=True) if found is None]
        others = iter(await self._issued.find(missing) if missing else ())
        return [found or next(others) for found in findings]

    async def apply(self, changed: Changed) -> None:
        """Make changes in the database hold."""
        self._issued.forget(changed)
        await self._configured.refresh(changed)
        if changed is None:
            self._changes.publish_everything()
        elif changed:
            self._changes.publish(changed)

    async def follow(self, source: ConfigSource) -> None:
        """Take over every change of the configuration, without end."""
        changes = source.changes()
        await self.replace(source.current())
        async for snapshot in changes:
            await self.replace(snapshot)

    async def replace(self, snapshot: Snapshot) -> None:
        """Go by this snapshot from now on. Other default limits change every principal."""
        limits_before = self._configured.limits
        await self._configured.replace(snapshot)
        if snapshot.limits != limits_before:
            self._issued.forget(None)
            self._changes.publish_everything()
