"""A service, as it is hosted: what it implements of the contract, and with what."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from meshgate.runtime.authorization import Authorizer, declared_permission
from meshgate.runtime.errors import GatewayError

Handler = Callable[[Any, Any], Any]
"""Takes a request (or an iterator of them) and a context; returns an awaitable or an iterator."""


class ErrorBody(NamedTuple):
    """An error in the words of a dialect."""

    http_status: int
    json: bytes
    """ASCII only, at most 16 KB: it travels as a header."""


@dataclass(frozen=True)
class Method:
    """One RPC of the contract and what answers it."""

    path: str
    request_type: type[Message]
    response_type: type[Message]
    request_streaming: bool
    response_streaming: bool
    handler: Handler

    @property
    def service_name(self) -> str:
        return self.path.split("/")[1]

    @property
    def name(self) -> str:
        return self.path.split("/")[2]


@dataclass(frozen=True)
class Implementation:
    """A servicer together with the protobuf service that it implements.

    Attributes:
        descriptor: The protobuf service.
        servicer: Has a method for each RPC, named like it.
        internal: Whether callers must prove that they belong to the mesh.
        error_body: Writes errors in the dialect of REST clients, where they do not get
            `google.rpc.Status`.
        authorizer: Lets callers in, for RPCs that declare a permission; then all of the service
            must.
    """

    descriptor: ServiceDescriptor
    servicer: object
    internal: bool = False
    error_body: Callable[[GatewayError], ErrorBody] | None = None
    authorizer: Authorizer | None = None

    def methods(self) -> Iterable[Method]:
        for descriptor in self.descriptor.methods:
            yield self._method(descriptor)

    def _method(self, descriptor: MethodDescriptor) -> Method:
        handler = getattr(self.servicer, descriptor.name)
        if descriptor.server_streaming != inspect.isasyncgenfunction(handler):
            raise TypeError(
                f"{descriptor.full_name} must be "
                + ("an async generator" if descriptor.server_streaming else "a coroutine function")
            )
        return Method(
            path=f"/{self.descriptor.full_name}/{descriptor.name}",
            request_type=message_factory.GetMessageClass(descriptor.input_type),
            response_type=message_factory.GetMessageClass(descriptor.output_type),
            request_streaming=descriptor.client_streaming,
            response_streaming=descriptor.server_streaming,
            handler=self._authorized(descriptor, handler),
        )

    def _authorized(self, descriptor: MethodDescriptor, handler: Handler) -> Handler:
        permission = declared_permission(descriptor)
        if bool(permission) != (self.authorizer is not None):
            raise TypeError(
                f"{descriptor.full_name} "
                + ("needs an authorizer" if permission else "declares no permission")
            )
        if self.authorizer is None:
            return handler
        return self.authorizer.guarded(handler, descriptor)


def _nothing() -> None:
    """Most services have no stream that never ends."""


def _lacks_nothing() -> Sequence[str]:
    """Most services need nothing but each other."""
    return ()


@dataclass(frozen=True)
class Service:
    """A service of the mesh: the unit that is deployed and scaled.

    Attributes:
        name: For instance `auth`.
        implementations: What it serves.
        tasks: What it does besides answering, for as long as it lives.
        drain: Ends streams that would otherwise go on for ever; called once the callers know that
            this process is leaving.
        lacks: What it does without at present, as it noticed in its work, each in a few words.
    """

    name: str
    implementations: tuple[Implementation, ...]
    tasks: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    drain: Callable[[], None] = _nothing
    lacks: Callable[[], Sequence[str]] = _lacks_nothing


Assembly = AbstractAsyncContextManager[Service]
"""Builds a service on entry and gives back what it holds on exit."""
