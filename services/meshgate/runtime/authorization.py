"""Who may call an RPC of the admin API: the permission that the contract declares, enforced.

An `Implementation` of such RPCs has an `Authorizer`. Before a handler runs, the credential in the
metadata is authenticated and the permission checked; the handler finds who calls in `caller()`.
"""

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from google.protobuf.descriptor import MethodDescriptor

from meshgate.runtime.credentials import Credential
from meshgate.runtime.json_fields import JsonFields
from meshgate.runtime.permissions import PERMISSIONS, Caller
from meshgate.v1 import permission_pb2

_CALLER: ContextVar[Caller] = ContextVar("caller of the admin API")


def caller() -> Caller:
    """Who calls the RPC that is being handled. Only where the RPC declares a permission."""
    return _CALLER.get()


def declared_permission(method: MethodDescriptor) -> str:
    """The permission that the contract declares for an RPC; empty for none."""
    permission: str = method.GetOptions().Extensions[permission_pb2.permission]
    return permission


class Authenticator(Protocol):
    """Knows who calls."""

    async def authenticate(self, credential: Credential, method: str, context: Any) -> Caller:
        """Who it is.

        Args:
            credential: What the call carries.
            method: The path of the RPC.
            context: The call's.

        Raises:
            CredentialError: It is not a good one.
            PermissionDeniedError: It may not be used from there.
            ServiceUnavailableError: Nobody can tell at the moment.
        """
        ...


class Authorizer:
    """Lets those callers in who have the permission that an RPC declares."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def guarded(
        self, handler: Callable[[Any, Any], Any], method: MethodDescriptor
    ) -> Callable[[Any, Any], Any]:
        """The handler of an RPC, for those who have the permission that it declares.

        Raises:
            TypeError: There is no such permission, or the RPC streams.
        """
        permission = declared_permission(method)
        if permission not in PERMISSIONS:
            raise TypeError(f"{method.full_name} declares {permission!r}, which is no permission")
        if method.client_streaming or method.server_streaming:
            raise TypeError(f"{method.full_name} streams, which no admin RPC does")
        path = f"/{method.containing_service.full_name}/{method.name}"
        fields = JsonFields(method)

        @functools.wraps(handler)
        async def handle(request: Any, context: Any) -> Any:
            credential = Credential.from_context(context)
            who = await self._authenticator.authenticate(credential, path, context)
            who.reach(permission)
            fields.check(dict(context.invocation_metadata()))
            token = _CALLER.set(who)
            try:
                return await handler(request, context)
            finally:
                _CALLER.reset(token)

        return handle
