"""The keys that stand in the configuration, and the admin key."""

import asyncio
import hmac
import secrets as randomness
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

import structlog

from meshgate.auth.changes import PrincipalChanges
from meshgate.auth.principals import Principal, PrincipalKind, Refusal
from meshgate.config.secrets import SecretSource, SecretUnresolvedError
from meshgate.config.snapshot import Key, Snapshot
from meshgate.config.source import ConfigSource
from meshgate.runtime.errors import CredentialInvalidError, PermissionDeniedError

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
    process, so that the time of a look-up tells nothing about any key.

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
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._secrets = secrets
        self._changes = changes
        self._admin_key = admin_key
        self._now = now
        self._pepper = randomness.token_bytes(32)
        self._revision = snapshot.revision
        self._table = self._read(snapshot)
        if self._table.problems:
            raise UnusableKeysError("\n".join(self._table.problems))

    async def find(self, credential: str, client_address: str) -> Principal | Refusal:
        principal = self._table.principals.get(self._digest(credential))
        if principal is None:
            return CredentialInvalidError("the key is not known, or no longer")
        if principal.expire_time is not None and principal.expire_time <= self._now():
            when = principal.expire_time.isoformat()
            return CredentialInvalidError(f"the key expired at {when}", expire_time=when)
        if principal.allowed_networks and not _is_inside(principal, client_address):
            return PermissionDeniedError(
                f"the key may not be used from {client_address}", client_address=client_address
            )
        return principal

    async def follow(self, source: ConfigSource) -> None:
        """Take over every change of the configuration, without end."""
        changes = source.changes()
        await self.replace(source.current())
        async for snapshot in changes:
            await self.replace(snapshot)

    async def replace(self, snapshot: Snapshot) -> None:
        """Know the keys of this snapshot from now on, and tell the watchers what changed."""
        if snapshot.revision == self._revision:
            return
        # Secrets may lie in files.
        table = await asyncio.to_thread(self._read, snapshot)
        changed = table.changed_since(self._table)
        self._table, self._revision = table, snapshot.revision
        if table.problems:
            _log.error("keys left out", revision=snapshot.revision, problems=table.problems)
        if changed:
            self._changes.publish(changed)

    def _read(self, snapshot: Snapshot) -> _Table:
        principals: dict[bytes, Principal] = {}
        problems = []
        if self._admin_key:
            principals[self._digest(self._admin_key)] = ADMIN
        for key in snapshot.keys.values():
            try:
                digest = self._digest(self._secrets.resolve(key.secret))
            except SecretUnresolvedError as error:
                problems.append(f"the key {key.key_id} cannot be used: {error}")
                continue
            other = principals.setdefault(digest, _principal(key))
            if other.principal_id != key.key_id:
                problems.append(
                    f"the key {key.key_id} is the same as {other.principal_id}: use another one"
                )
        return _Table(principals, tuple(problems))

    def _digest(self, credential: str) -> bytes:
        return hmac.digest(self._pepper, credential.encode(), "sha256")


def _principal(key: Key) -> Principal:
    return Principal(
        principal_id=key.key_id,
        kind=PrincipalKind.KEY,
        key_id=key.key_id,
        user_id=key.user_id,
        team_id=key.team_id,
        organization_id=key.organization_id,
        allowed_models=key.allowed_models,
        allowed_networks=key.allowed_networks,
        expire_time=key.expire_time,
        tags=key.tags,
    )


def _is_inside(principal: Principal, client_address: str) -> bool:
    """Whether the address is in a network of the principal; not, if it is no address at all."""
    try:
        address: IPv4Address | IPv6Address = ip_address(client_address)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in principal.allowed_networks)
