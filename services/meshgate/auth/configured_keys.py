"""The keys that stand in the configuration, and the admin key."""

import asyncio
import hmac
import secrets as randomness
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from meshgate.auth.changes import PrincipalChanges
from meshgate.auth.key_principals import principal_of
from meshgate.auth.principals import (
    Finding,
    Presented,
    Principal,
    PrincipalKind,
    Refusal,
    admitted,
    unknown,
)
from meshgate.auth.scopes import (
    NO_SCOPES,
    NoScopes,
    Scopes,
    ScopeSource,
    everyone,
)
from meshgate.config.secrets import SecretSource, SecretUnresolvedError
from meshgate.config.snapshot import Key, LimitsOptions, Snapshot
from meshgate.config.source import ConfigSource
from meshgate.runtime.errors import ServiceUnavailableError

ADMIN = Principal("admin", PrincipalKind.ADMIN, roles=("admin",), allowed_models=("*",))

_log = structlog.get_logger(__name__)


class UnusableKeysError(Exception):
    """Keys of the configuration cannot be used. The text has one line for each."""


@dataclass(frozen=True, slots=True)
class _Table:
    """Principals by the digest of their credential, and why keys are not among them."""

    principals: Mapping[bytes, Principal]
    problems: tuple[str, ...]

    def changed_since(self, before: "_Table") -> frozenset[str]:
        """The ids of principals that came, went, or are not what they were."""
        old, new = before.principals, self.principals
        gone = [principal for digest, principal in old.items() if new.get(digest) != principal]
        come = [principal for digest, principal in new.items() if old.get(digest) != principal]
        return frozenset(principal.principal_id for principal in gone + come)


def _now() -> datetime:
    return datetime.now(UTC)


class ConfiguredKeys:
    """A `PrincipalStore` of the keys in a snapshot, beside the admin key.

    Keys are looked up by the HMAC-SHA256 of the whole value with a pepper that is random in each
    process, so that the time of a look-up tells nothing about any key. The limits of the records
    that they belong to are those last heard of: no look-up waits for them.

    Raises:
        UnusableKeysError: At the start, a key's secret cannot be found or is that of another key.
            Later such keys are left out and logged, so that the others change all the same.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        secrets: SecretSource,
        changes: PrincipalChanges,
        *,
        admin_key: str | None = None,
        scope_source: ScopeSource | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._secrets = secrets
        self._changes = changes
        self._admin_key = admin_key
        self._scope_source = scope_source or NoScopes()
        self._now = now
        self._pepper = randomness.token_bytes(32)
        self._replacing = asyncio.Lock()
        self._snapshot = snapshot
        self._scopes = NO_SCOPES
        self._scopes_are_due = True
        self._table = self._read(snapshot, self._scopes)
        if self._table.problems:
            raise UnusableKeysError("\n".join(self._table.problems))

    @property
    def limits(self) -> LimitsOptions:
        """The limits that the configuration has for all keys."""
        return self._snapshot.limits

    async def find(self, presented: Sequence[Presented]) -> Sequence[Finding]:
        return [self.known(item.credential, item.client_address) or unknown() for item in presented]

    def known(self, credential: str, client_address: str) -> Principal | Refusal | None:
        """What is to be said of one of these keys; None if it is none of them."""
        principal = self._table.principals.get(self._digest(credential))
        if principal is None:
            return None
        return admitted(principal, client_address, self._now())

    async def follow(self, source: ConfigSource) -> None:
        """Take over every change of the configuration, without end."""
        changes = source.changes()
        await self.replace(source.current())
        async for snapshot in changes:
            await self.replace(snapshot)

    async def replace(self, snapshot: Snapshot) -> None:
        """Know the keys of this snapshot from now on, and tell the watchers what changed."""
        async with self._replacing:
            if snapshot.revision == self._snapshot.revision:
                return
            if _belongings(snapshot) != _belongings(self._snapshot):
                self._scopes_are_due = True
            await self._take(snapshot)
            if self._table.problems:
                problems = self._table.problems
                _log.error("keys left out", revision=snapshot.revision, problems=problems)

    async def refresh(self, changed_ids: frozenset[str] | None = frozenset()) -> None:
        """Look again at the records that keys belong to, where that is due.

        Args:
            changed_ids: The records that changed; None for all.
        """
        if changed_ids is None or changed_ids & _belongings(self._snapshot):
            self._scopes_are_due = True
        if self._scopes_are_due:
            async with self._replacing:
                await self._take(self._snapshot)

    async def _take(self, snapshot: Snapshot) -> None:
        if self._scopes_are_due:
            await self._look_at_records(_belongings(snapshot))
        # Secrets may lie in files.
        table = await asyncio.to_thread(self._read, snapshot, self._scopes)
        changed = table.changed_since(self._table)
        self._table, self._snapshot = table, snapshot
        if changed:
            self._changes.publish(changed)

    async def _look_at_records(self, ids: frozenset[str]) -> None:
        self._scopes_are_due = False
        try:
            self._scopes = await self._scope_source.scopes(ids)
        except ServiceUnavailableError:
            self._scopes_are_due = True

    def _read(self, snapshot: Snapshot, scopes: Scopes) -> _Table:
        principals: dict[bytes, Principal] = {}
        problems = []
        if self._admin_key:
            principals[self._digest(self._admin_key)] = _admin(snapshot.limits)
        for key in snapshot.keys.values():
            try:
                digest = self._digest(self._secrets.resolve(key.secret))
            except SecretUnresolvedError as error:
                problems.append(f"the key {key.key_id} cannot be used: {error}")
                continue
            other = principals.setdefault(digest, _principal(key, scopes, snapshot.limits))
            if other.principal_id != key.key_id:
                problems.append(
                    f"the key {key.key_id} is the same as {other.principal_id}: use another one"
                )
        return _Table(principals, tuple(problems))

    def _digest(self, credential: str) -> bytes:
        return hmac.digest(self._pepper, credential.encode(), "sha256")


def _admin(options: LimitsOptions) -> Principal:
    subject = everyone(options)
    return replace(ADMIN, subjects=(subject,)) if subject.limits else ADMIN


def _belongings(snapshot: Snapshot) -> frozenset[str]:
    """The ids of all records that keys of the configuration belong to."""
    return frozenset(
        of
        for key in snapshot.keys.values()
        for of in (key.organization_id, key.team_id, key.user_id)
        if of
    )


def _principal(key: Key, scopes: Scopes, options: LimitsOptions) -> Principal:
    return principal_of(
        key,
        scopes,
        options,
        allowed_models=key.allowed_models,
        allowed_networks=key.allowed_networks,
    )
