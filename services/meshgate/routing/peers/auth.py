"""Who is calling: the caller's side of AuthService, with a cache of bounded staleness."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from meshgate.routing.arrival import Arrival
from meshgate.routing.principal import Principal
from meshgate.runtime.batching import Batcher
from meshgate.runtime.errors import (
    CredentialError,
    CredentialMissingError,
    DeadlineExceededError,
    GatewayError,
    ServiceUnavailableError,
)
from meshgate.runtime.status import error_of, error_of_call
from meshgate.v1 import auth_service_pb2 as pb
from meshgate.v1 import auth_service_pb2_grpc as rpc
from meshgate.v1 import principal_pb2

_log = structlog.get_logger("meshgate.routing")

_BATCH_SECONDS = 2.0
_SILENCE_SECONDS = 1.0
_WATCH_SECONDS = 3600.0
_RECONNECT_SECONDS = 0.2
# Instances of auth learn of a change at slightly different times. What one of them said this soon
# after a change is asked again before long.
_SETTLING_SECONDS = 2.0
_UNSETTLED_SECONDS = 0.5
_MOST_PRINCIPALS = 50_000
_MOST_REFUSALS = 5_000
_MOST_CREDENTIAL_CHARACTERS = 8_192

_CacheKey = str | tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Entry:
    outcome: Principal | GatewayError
    verified_at: float


class PrincipalCache:
    """Finds principals: from memory while auth's watch is alive, by asking otherwise.

    Args:
        channel: To auth.
        stale_for_seconds: How long a principal may be used while auth does not answer.
        now: The monotonic clock.
    """

    def __init__(
        self,
        channel: Any,
        stale_for_seconds: Callable[[], float],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stub: Any = rpc.AuthServiceStub(channel)
        self._stale_for_seconds = stale_for_seconds
        self._now = now
        self._batcher: Batcher[pb.AuthenticateItem, pb.AuthenticateResult] = Batcher(self._send)
        self._principals: OrderedDict[_CacheKey, _Entry] = OrderedDict()
        self._refusals: OrderedDict[_CacheKey, _Entry] = OrderedDict()
        self._watching_since = float("inf")
        self._heard_at = float("-inf")
        self._changed_at = float("-inf")

    async def authenticate(self, arrival: Arrival) -> Principal:
        """The principal of a call.

        Raises:
            CredentialError: There is no credential, or it is not a good one.
            PermissionDeniedError: It may not be used from there.
            ServiceUnavailableError: Auth does not answer, and nothing recent is known.
        """
        credential = arrival.credential
        if credential is None or len(credential) > _MOST_CREDENTIAL_CHARACTERS:
            raise CredentialMissingError(
                "no API key was given: send it as `authorization: Bearer KEY` or `x-api-key: KEY`"
            )
        entry = self._known(credential, arrival.client_address)
        if entry is None or not self._is_fresh(entry):
            entry = await self._ask(arrival, credential, entry)
        if isinstance(entry.outcome, GatewayError):
            raise entry.outcome.with_traceback(None)
        return entry.outcome

    async def watch(self) -> None:
        """Follow auth's notices, until cancelled."""
        while True:
            try:
                await self._follow()
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
                    _log.debug("watch of principals broke", code=error.code().name)
            self._watching_since = float("inf")
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _follow(self) -> None:
        notices = self._stub.WatchPrincipals(pb.WatchPrincipalsRequest(), timeout=_WATCH_SECONDS)
        async for notice in notices:
            self._heard_at = now = self._now()
            self._watching_since = min(self._watching_since, now)
            if notice.HasField("changed"):
                self._forget(frozenset(notice.changed.principal_ids))

    def _forget(self, principal_ids: frozenset[str]) -> None:
        self._changed_at = self._now()
        self._refusals.clear()
        for key in [
            key
            for key, entry in self._principals.items()
            if isinstance(entry.outcome, Principal) and entry.outcome.principal_id in principal_ids
        ]:
            del self._principals[key]

    def _known(self, credential: str, client_address: str) -> _Entry | None:
        """What is known of a credential: for this address, where addresses matter."""
        entry = self._principals.get(credential)
        if entry is not None and isinstance(entry.outcome, Principal):
            if not entry.outcome.bound_to_networks:
                return entry
            entry = self._principals.get((credential, client_address))
        return entry or self._refusals.get((credential, client_address))

    def _is_fresh(self, entry: _Entry) -> bool:
        now, verified_at = self._now(), entry.verified_at
        if now - self._heard_at > _SILENCE_SECONDS or verified_at < self._watching_since:
            return False
        if isinstance(entry.outcome, Principal):
            expires_at = entry.outcome.expires_at
            if expires_at is not None and time.time() >= expires_at:
                return False
        settled = verified_at >= self._changed_at + _SETTLING_SECONDS
        return settled or now - verified_at < _UNSETTLED_SECONDS

    async def _ask(self, arrival: Arrival, credential: str, known: _Entry | None) -> _Entry:
        changed_at = self._changed_at
        item = pb.AuthenticateItem(
            context=arrival.call_context("", ""),
            credential=credential,
            client_address=arrival.client_address,
            method=arrival.method,
        )
        try:
            result = await self._batcher.submit(item)
        except (ServiceUnavailableError, DeadlineExceededError):
            if known is not None and self._is_usable(known):
                return known
            raise ServiceUnavailableError(
                "the auth service does not answer", retry_after_seconds=1, service="auth"
            ) from None
        entry = _Entry(_outcome(result), self._now())
        if changed_at == self._changed_at:  # else this may tell of the time before the change
            self._keep(credential, arrival.client_address, entry)
        return entry

    def _is_usable(self, entry: _Entry) -> bool:
        """Whether an entry may be used although auth does not answer."""
        if isinstance(entry.outcome, GatewayError):
            return True
        known_good_at = max(
            entry.verified_at,
            self._heard_at if entry.verified_at >= self._watching_since else entry.verified_at,
        )
        expires_at = entry.outcome.expires_at
        return self._now() - known_good_at <= self._stale_for_seconds() and (
            expires_at is None or time.time() < expires_at
        )

    def _keep(self, credential: str, client_address: str, entry: _Entry) -> None:
        here = (credential, client_address)
        if isinstance(entry.outcome, GatewayError):
            self._principals.pop(here, None)
            if isinstance(entry.outcome, CredentialError):
                self._principals.pop(credential, None)
            _put(self._refusals, here, entry, _MOST_REFUSALS)
            return
        self._refusals.pop(here, None)
        _put(self._principals, credential, entry, _MOST_PRINCIPALS)
        if entry.outcome.bound_to_networks:
            _put(self._principals, here, entry, _MOST_PRINCIPALS)

    async def _send(self, items: Sequence[pb.AuthenticateItem]) -> Sequence[pb.AuthenticateResult]:
        # Fail closed: without an answer nobody is let in.
        try:
            response = await self._stub.BatchAuthenticate(
                pb.BatchAuthenticateRequest(items=items), timeout=_BATCH_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, "auth") from None
        results: Sequence[pb.AuthenticateResult] = response.results
        return results


def _put(entries: OrderedDict[_CacheKey, _Entry], key: _CacheKey, entry: _Entry, most: int) -> None:
    """Keep an entry, and let the oldest go where there are too many."""
    entries[key] = entry
    while len(entries) > most:
        entries.popitem(last=False)


def _outcome(result: pb.AuthenticateResult) -> Principal | GatewayError:
    if result.HasField("refusal"):
        return error_of(result.refusal, "auth")
    principal = result.principal
    return Principal(
        principal_id=principal.principal_id,
        admin=principal.kind == principal_pb2.PRINCIPAL_KIND_ADMIN,
        allowed_models=frozenset(principal.allowed_models),
        bound_to_networks=bool(principal.allowed_networks),
        expires_at=principal.expire_time.ToNanoseconds() / 1e9
        if principal.HasField("expire_time")
        else None,
    )
