"""AuthService: proto to principals and back."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from meshgate.auth.changes import PrincipalChanges, WatchClosedError
from meshgate.auth.principals import (
    Finding,
    Presented,
    Principal,
    PrincipalKind,
    PrincipalStore,
)
from meshgate.limits.messages import subject_message
from meshgate.runtime.errors import InvalidRequestError
from meshgate.runtime.status import status_of
from meshgate.v1 import auth_service_pb2 as pb
from meshgate.v1 import principal_pb2
from meshgate.v1.auth_service_pb2_grpc import AuthServiceServicer

MAXIMUM_ITEMS = 1_000

_KINDS = {
    PrincipalKind.KEY: principal_pb2.PRINCIPAL_KIND_KEY,
    PrincipalKind.TOKEN: principal_pb2.PRINCIPAL_KIND_TOKEN,
    PrincipalKind.ADMIN: principal_pb2.PRINCIPAL_KIND_ADMIN,
}


def _always() -> bool:
    """What stands in the configuration is always seen."""
    return True


class AuthServicer(AuthServiceServicer):
    """Answers from a store, and tells watchers what changes.

    Args:
        store: Knows the principals.
        changes: What is told.
        heartbeat_seconds: The time between two heartbeats.
        sees_changes: Whether all that changes would be heard of. Watchers are told nothing while
            it would not, so that they cease to trust what they keep.
    """

    def __init__(
        self,
        store: PrincipalStore,
        changes: PrincipalChanges,
        heartbeat_seconds: float,
        sees_changes: Callable[[], bool] = _always,
    ) -> None:
        self._store = store
        self._changes = changes
        self._heartbeat_seconds = heartbeat_seconds
        self._sees_changes = sees_changes

    async def BatchAuthenticate(
        self, request: pb.BatchAuthenticateRequest, context: Any
    ) -> pb.BatchAuthenticateResponse:
        count = len(request.items)
        if count > MAXIMUM_ITEMS:
            raise InvalidRequestError(
                f"{count} items are more than the {MAXIMUM_ITEMS} that a batch may have",
                field="items",
                count=str(count),
                limit=str(MAXIMUM_ITEMS),
            )
        findings = await self._store.find(
            [Presented(item.credential, item.client_address) for item in request.items]
        )
        return pb.BatchAuthenticateResponse(results=[_result(found) for found in findings])

    async def WatchPrincipals(
        self, request: pb.WatchPrincipalsRequest, context: Any
    ) -> AsyncIterator[pb.WatchPrincipalsResponse]:
        with self._changes.watch() as watch:
            untold: frozenset[str] = frozenset()
            while True:
                if self._sees_changes():
                    notice, untold = _notice(untold), frozenset()
                    yield notice
                try:
                    untold |= await watch.next(self._heartbeat_seconds)
                except WatchClosedError:
                    return


def _result(found: Finding) -> pb.AuthenticateResult:
    if isinstance(found, Principal):
        return pb.AuthenticateResult(principal=_message(found))
    return pb.AuthenticateResult(refusal=status_of(found))


def _notice(changed: frozenset[str]) -> pb.WatchPrincipalsResponse:
    if not changed:
        return pb.WatchPrincipalsResponse(heartbeat=pb.Heartbeat())
    ids = pb.PrincipalsChanged(principal_ids=sorted(changed))
    return pb.WatchPrincipalsResponse(changed=ids)


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def _message(principal: Principal) -> principal_pb2.Principal:
    return principal_pb2.Principal(
        principal_id=principal.principal_id,
        kind=_KINDS[principal.kind],
        key_id=principal.key_id,
        user_id=principal.user_id,
        team_id=principal.team_id,
        organization_id=principal.organization_id,
        roles=principal.roles,
        allowed_models=principal.allowed_models,
        allowed_networks=[str(network) for network in principal.allowed_networks],
        expire_time=_timestamp(principal.expire_time),
        tags=principal.tags,
        revision=principal.revision,
        subjects=[subject_message(subject) for subject in principal.subjects],
    )
