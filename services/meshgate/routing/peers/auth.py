"""Who is calling: the caller's side of AuthService, with a cache of bounded staleness."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import structlog

from meshgate.limits.messages import subject_of
from meshgate.routing.arrival import Arrival
from meshgate.routing.chain import chains_of
from meshgate.routing.principal import Principal
from meshgate.runtime.batching import Batcher
from meshgate.runtime.cancellation import being_cancelled
from meshgate.runtime.credentials import HOW_TO_SEND
from meshgate.runtime.errors import (
    CredentialError,
    CredentialInvalidError,
    CredentialMissingError,
    DeadlineExceededError,
    GatewayError,
    PermissionDeniedError,
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
# Nobody tells of changes while the watch is silent: what auth says then is good for so long.
_UNHEARD_SECONDS = 0.25
_MOST_CREDENTIAL_CHARACTERS = 8_192

_CacheKey = str | tuple[str, str]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept, at most."""

    principals: int = 50_000
    refusals: int = 5_000


@dataclass(slots=True)
class _Watch:
    """One watch, from its first notice on. What auth says meanwhile holds as of the last one."""

    heard_at: float = float("-inf")


@dataclass(frozen=True, slots=True)
class _Entry:
    """What auth said of a credential.

    Attributes:
        outcome: Who it is, or why not.
        verified_at: When auth said so.
        watch: Tells of changes since; one that was never heard tells of none.
        ask_again_at: When it is to be asked again even so.
    """

    outcome: Principal | GatewayError
    verified_at: float
    watch: _Watch
    ask_again_at: float


class PrincipalCache:
    """Finds principals: from memory while auth's watch is alive, by asking otherwise.

    Args:
        channel: To auth.
        stale_for_seconds: How long a principal may be used while auth does not answer.
        now: The monotonic clock.
        wall_clock: Seconds since the epoch.
        bounds: How much is kept.
    """

    def __init__(
        self,
        channel: Any,
        stale_for_seconds: Callable[[], float],
        now: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        bounds: Bounds | None = None,
    ) -> None:
        self._stub: Any = rpc.AuthServiceStub(channel)
        self._stale_for_seconds = stale_for_seconds
        self._now = now
        self._wall_clock = wall_clock
        self._bounds = bounds or Bounds()
        self._batcher: Batcher[pb.AuthenticateItem, pb.AuthenticateResult] = Batcher(self._send)
        self._principals: OrderedDict[_CacheKey, _Entry] = OrderedDict()
        self._refusals: OrderedDict[_CacheKey, _Entry] = OrderedDict()
        self._watch = _Watch()
        self._changes = 0
        self._changed_at = float("-inf")

    async def authenticate(self, arrival: Arrival) -> Principal:
        """The principal of a call.

        Raises:
            CredentialError: There is no credential, or it is not a good one.
            PermissionDeniedError: It may not be used from there.
            ServiceUnavailableError: Auth does not answer, and nothing recent is known.
            DeadlineExceededError: There was no time to ask.
        """
        credential = arrival.credential
        if credential is None:
            raise CredentialMissingError(f"no API key was given: {HOW_TO_SEND}")
        if len(credential) > _MOST_CREDENTIAL_CHARACTERS:
            raise CredentialInvalidError("what was given is too long to be an API key")
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
            except asyncio.CancelledError:
                # A call is cut off like this too, when its instance of auth is no longer listed.
                if being_cancelled():
                    raise
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _follow(self) -> None:
        notices = self._stub.WatchPrincipals(pb.WatchPrincipalsRequest(), timeout=_WATCH_SECONDS)
        watch = _Watch()
        async for notice in notices:
            watch.heard_at = self._now()
            self._watch = watch
            if notice.HasField("changed"):
                self._forget(frozenset(notice.changed.principal_ids))

    def _forget(self, principal_ids: frozenset[str]) -> None:
        self._changes += 1
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
        now, watch = self._now(), self._watch
        if now - watch.heard_at > _SILENCE_SECONDS:
            # Asked again, but not for every request: there are many when a process is too busy to
            # hear heartbeats in time.
            return now - entry.verified_at <= _UNHEARD_SECONDS and not self._has_expired(entry)
        return entry.watch is watch and now < entry.ask_again_at and not self._has_expired(entry)

    async def _ask(self, arrival: Arrival, credential: str, known: _Entry | None) -> _Entry:
        watch, changes = self._watch, self._changes
        item = pb.AuthenticateItem(
            context=arrival.call_context("", ""),
            credential=credential,
            client_address=arrival.client_address,
            method=arrival.method,
        )
        try:
            async with asyncio.timeout(arrival.deadline.seconds_left()):
                outcome = _outcome(await self._batcher.submit(item))
            if isinstance(outcome, ServiceUnavailableError):
                raise outcome  # of this credential alone
        except TimeoutError:
            raise DeadlineExceededError("the deadline of the request has passed") from None
        except (ServiceUnavailableError, DeadlineExceededError):
            if known is not None and self._is_usable(known):
                return known
            raise ServiceUnavailableError(
                "the auth service does not answer", retry_after_seconds=1, service="auth"
            ) from None
        now = self._now()
        settled = now >= self._changed_at + _SETTLING_SECONDS
        ask_again_at = float("inf") if settled else now + _UNSETTLED_SECONDS
        entry = _Entry(outcome, now, watch, ask_again_at)
        if changes == self._changes:  # else this may tell of the time before the change
            self._keep(credential, arrival.client_address, entry)
        return entry

    def _is_usable(self, entry: _Entry) -> bool:
        """Whether an entry may be used although auth does not answer."""
        if isinstance(entry.outcome, GatewayError):
            return True
        known_good_at = max(entry.verified_at, entry.watch.heard_at)
        return self._now() - known_good_at <= self._stale_for_seconds() and not self._has_expired(
            entry
        )

    def _has_expired(self, entry: _Entry) -> bool:
        if isinstance(entry.outcome, GatewayError) or entry.outcome.expires_at is None:
            return False
        return self._wall_clock() >= entry.outcome.expires_at

    def _keep(self, credential: str, client_address: str, entry: _Entry) -> None:
        here = (credential, client_address)
        match entry.outcome:
            case CredentialError():
                self._principals.pop(here, None)
                self._principals.pop(credential, None)
                _put(self._refusals, here, entry, self._bounds.refusals)
            case PermissionDeniedError():
                self._principals.pop(here, None)
                _put(self._refusals, here, entry, self._bounds.refusals)
            case Principal(bound_to_networks=bound):
                self._refusals.pop(here, None)
                _put(self._principals, credential, entry, self._bounds.principals)
                if bound:
                    _put(self._principals, here, entry, self._bounds.principals)

    async def _send(self, items: Sequence[pb.AuthenticateItem]) -> Sequence[pb.AuthenticateResult]:
        # Fail closed: without an answer nobody is let in.
        try:
            response = await self._stub.BatchAuthenticate(
                pb.BatchAuthenticateRequest(items=items), timeout=_BATCH_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise _refused(error) from None
        results: Sequence[pb.AuthenticateResult] = response.results
        return results


def _refused(call: grpc.aio.AioRpcError) -> GatewayError:
    """Why there is no answer. What auth dislikes about the call itself is not the client's fault."""
    error = error_of_call(call, "auth")
    if isinstance(error, ServiceUnavailableError | DeadlineExceededError):
        return error
    _log.error("auth refused a batch", reason=error.reason)
    return GatewayError("internal error")


def _put(entries: OrderedDict[_CacheKey, _Entry], key: _CacheKey, entry: _Entry, most: int) -> None:
    """Keep an entry, and let the oldest go where there are too many."""
    entries[key] = entry
    entries.move_to_end(key)
    while len(entries) > most:
        entries.popitem(last=False)


def _outcome(result: pb.AuthenticateResult) -> Principal | GatewayError:
    if result.HasField("refusal"):
        return error_of(result.refusal, "auth")
    if not result.HasField("principal"):
        return GatewayError("internal error")  # fail closed
    try:
        return _principal(result.principal)
    except ValueError as error:
        _log.error("a limit cannot be understood", reason=str(error))
        return GatewayError("internal error")  # fail closed


def _principal(principal: principal_pb2.Principal) -> Principal:
    """What auth says of a principal.

    Raises:
        ValueError: It has a limit that this version does not understand.
    """
    return Principal(
        principal_id=principal.principal_id,
        admin=principal.kind == principal_pb2.PRINCIPAL_KIND_ADMIN,
        allowed_models=frozenset(principal.allowed_models),
        bound_to_networks=bool(principal.allowed_networks),
        expires_at=principal.expire_time.ToNanoseconds() / 1e9
        if principal.HasField("expire_time")
        else None,
        key_id=principal.key_id,
        user_id=principal.user_id,
        team_id=principal.team_id,
        organization_id=principal.organization_id,
        tags=dict(principal.tags),
        chains=chains_of(principal.organization_id, map(subject_of, principal.subjects)),
    )
