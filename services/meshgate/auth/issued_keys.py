"""The keys that were made through the admin API."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Protocol

from meshgate.auth.credentials import Credential, Peppers
from meshgate.auth.feed import Changed
from meshgate.auth.key_principals import principal_of
from meshgate.auth.principals import (
    Finding,
    Presented,
    Principal,
    admitted,
    unknown,
)
from meshgate.auth.records import GROUP_PREFIX, Key
from meshgate.auth.scopes import Scopes
from meshgate.config.snapshot import LimitsOptions
from meshgate.runtime.errors import CredentialInvalidError, ServiceUnavailableError

_DOUBT_AFTER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it is kept.

    Attributes:
        key: Its record.
        secret_hash: What proves its secret.
        previous_hash: What proves the secret before, until the end of the overlap.
        scopes: What the organization, team and user that it belongs to add to it.
    """

    key: Key
    secret_hash: bytes = field(repr=False)
    previous_hash: bytes | None = field(repr=False)
    scopes: Scopes


class KeyLookup(Protocol):
    """Finds keys."""

    async def stored_keys(self, key_ids: frozenset[str]) -> Mapping[str, StoredKey]:
        """Those of the keys that there are, by id.

        Raises:
            ServiceUnavailableError: They cannot be looked up now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept and asked for, at most.

    Attributes:
        keys: Keys that are kept, those included that do not exist.
        lookups: Look-ups at the same time.
        wait_seconds: How long anyone waits for a look-up.
    """

    keys: int = 20_000
    lookups: int = 3
    wait_seconds: float = 1.5


@dataclass(frozen=True, slots=True)
class _Known:
    """A key as it was found, with the principal that it makes; or that there is none."""

    stored: StoredKey | None
    principal: Principal | None
    found_at: datetime


class IssuedKeys:
    """A `PrincipalStore` of the keys in the database.

    What was found is kept for as long as changes are seen; `forget` drops what changed. What is not
    of the form of a key, or has a made-up id, is refused without a look-up.

    Args:
        lookup: Where the keys are.
        peppers: What their secrets were hashed with.
        sees_changes: Whether all changes are heard of.
        options: The limits that the configuration adds.
        now: The time.
        bounds: How much, at most.
    """

    def __init__(
        self,
        lookup: KeyLookup,
        peppers: Peppers,
        sees_changes: Callable[[], bool],
        options: Callable[[], LimitsOptions],
        now: Callable[[], datetime],
        bounds: Bounds = Bounds(),
    ) -> None:
        self._lookup = lookup
        self._peppers = peppers
        self._sees_changes = sees_changes
        self._options = options
        self._now = now
        self._bounds = bounds
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._changes = 0
        self._failed = False
        self._lookups = asyncio.Semaphore(bounds.lookups)

    async def find(self, presented: Sequence[Presented]) -> Sequence[Finding]:
        credentials = [self._peppers.read(item.credential) for item in presented]
        ids = frozenset(credential.key_id for credential in credentials if credential)
        known = self._kept(ids) if self._sees_changes() else {}
        for credential in credentials:
            if credential and self._is_doubtful(credential, known.get(credential.key_id)):
                del known[credential.key_id]
        found, problem = await self._look_up(ids.difference(known))
        known |= found
        return [
            self._finding(credential, item.client_address, known, problem)
            for item, credential in zip(presented, credentials, strict=True)
        ]

    def forget(self, changed: Changed) -> None:
        """Drop what is known of keys that changed; everything for None."""
        self._changes += 1
        if changed is None:
            self._known.clear()
            return
        for key_id in changed:
            self._known.pop(key_id, None)

    async def _look_up(
        self, ids: frozenset[str]
    ) -> tuple[Mapping[str, _Known], ServiceUnavailableError | None]:
        """What is found of keys, or why nothing is."""
        if not ids:
            return {}, None
        changes = self._changes
        try:
            stored = await self._asked(ids)
        except ServiceUnavailableError as error:
            return {}, error
        found = {key_id: self._made(stored.get(key_id)) for key_id in ids}
        if changes == self._changes:  # else this may tell of the time before the change
            self._keep(found)
        return found, None

    async def _asked(self, ids: frozenset[str]) -> Mapping[str, StoredKey]:
        # After a failure nobody waits for another one, until changes are seen again.
        self._failed = self._failed and not self._sees_changes()
        if self._failed:
            raise ServiceUnavailableError("keys cannot be looked up now", retry_after_seconds=1)
        try:
            async with asyncio.timeout(self._bounds.wait_seconds), self._lookups:
                return await self._lookup.stored_keys(ids)
        except (ServiceUnavailableError, TimeoutError):
            self._failed = True
            raise ServiceUnavailableError(
                "keys cannot be looked up now", retry_after_seconds=1
            ) from None

    def _kept(self, ids: frozenset[str]) -> dict[str, _Known]:
        known = {key_id: self._known[key_id] for key_id in ids if key_id in self._known}
        for key_id in known:
            self._known.move_to_end(key_id)
        return known

    def _is_doubtful(self, credential: Credential, known: _Known | None) -> bool:
        """Whether the secret is wrong for what was found a while ago.

        A key that was rotated a moment ago is good at once, and guessing asks but once a second.
        """
        if known is None or known.stored is None or known.principal is None:
            return False
        now = self._now()
        if now - known.found_at < _DOUBT_AFTER:
            return False
        return self._proved(credential, known.stored, known.principal, now) is None

    def _keep(self, found: Mapping[str, _Known]) -> None:
        self._known.update(found)
        while len(self._known) > self._bounds.keys:
            self._known.popitem(last=False)

    def _made(self, stored: StoredKey | None) -> _Known:
        if stored is None:
            return _Known(None, None, self._now())
        return _Known(stored, _principal(stored, self._options()), self._now())

    def _finding(
        self,
        credential: Credential | None,
        client_address: str,
        known: Mapping[str, _Known],
        problem: ServiceUnavailableError | None,
    ) -> Finding:
        if credential is None:
            return unknown()
        found = known.get(credential.key_id)
        if found is None:
            return problem or unknown()
        if found.stored is None or found.principal is None:
            return unknown()
        now = self._now()
        principal = self._proved(credential, found.stored, found.principal, now)
        if principal is None:
            return unknown()
        if found.stored.key.revoke_time is not None:
            return CredentialInvalidError("the key was revoked")
        return admitted(principal, client_address, now)

    def _proved(
        self, credential: Credential, stored: StoredKey, principal: Principal, now: datetime
    ) -> Principal | None:
        """The principal, if the secret is right; one from before a rotation ends with the overlap."""
        if self._peppers.prove(credential, stored.secret_hash):
            return principal
        end = stored.key.overlap_end_time
        if stored.previous_hash is None or end is None or end <= now:
            return None
        if not self._peppers.prove(credential, stored.previous_hash):
            return None
        if principal.expire_time is not None and principal.expire_time <= end:
            return principal
        return replace(principal, expire_time=end)


def _principal(stored: StoredKey, options: LimitsOptions) -> Principal:
    key, scopes = stored.key, stored.scopes
    return principal_of(
        key,
        scopes,
        options,
        allowed_models=_models(key, scopes),
        allowed_networks=tuple(ip_network(network) for network in key.allowed_networks),
        roles=_roles(key, scopes),
    )


def _roles(key: Key, scopes: Scopes) -> tuple[str, ...]:
    """The key's roles, but none that its user does not have."""
    if not key.user_id:
        return key.roles
    return tuple(role for role in key.roles if role in scopes.roles.get(key.user_id, ()))


def _models(key: Key, scopes: Scopes) -> tuple[str, ...]:
    """The key's models, with groups as what they hold; one that is gone holds nothing."""
    groups = scopes.model_groups.get(key.organization_id, {})
    models: list[str] = []
    for pattern in key.allowed_models:
        if pattern.startswith(GROUP_PREFIX):
            models += groups.get(pattern.removeprefix(GROUP_PREFIX), ())
        else:
            models.append(pattern)
    return tuple(dict.fromkeys(models))
