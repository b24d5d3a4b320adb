"""A call as it comes in, before its body is read."""

import re
import time
from collections.abc import Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from meshgate.runtime.credentials import CLIENT_ADDRESS_KEY, LONGEST_ADDRESS, credential_in
from meshgate.runtime.deadline import DEFAULT_SECONDS, Deadline
from meshgate.runtime.duration import set_duration
from meshgate.runtime.errors import InvalidRequestError
from meshgate.runtime.tracing import NO_SPAN, Span
from meshgate.v1 import call_context_pb2 as pb

# What is only passed on, or kept beside a credential, must not grow with what clients send.
_LONGEST_REQUEST_ID = 256
_LONGEST_TRACEPARENT = 256

_TOLD_HEADERS = ("anthropic-version", "anthropic-beta")
_LONGEST_TOLD = 1024

_COST_WANTED = "x-meshgate-include-cost"
_TIMEOUT = re.compile(r"(?P<number>\d{1,9}(?:\.\d{1,9})?)(?P<unit>ms|s|m|h)?", re.ASCII)
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Arrival(Struct, frozen=True):
    """Who calls, how, and how long they will wait.

    Attributes:
        credential: What the client proves itself with, or None.
        client_address: As Envoy saw it; empty for callers inside the mesh.
        request_id: For correlation only; cut where it is very long.
        traceparent: The W3C trace context, or nothing.
        method: The full name of the RPC.
        deadline: The client's own, or the longest that any call may take.
        cache_control: What the client says about answers that are kept; mostly nothing.
        wants_cost: Whether the client wants to be told at the end of a stream what it has cost.
        told_headers: What its headers say to upstreams that speak its dialect.
        arrived_at: When it came, by the monotonic clock.
        span: What is recorded of it.
    """

    credential: str | None
    client_address: str
    request_id: str
    traceparent: str
    method: str
    deadline: Deadline
    cache_control: str = ""
    wants_cost: bool = False
    told_headers: tuple[tuple[str, str], ...] = ()
    arrived_at: float = 0.0
    span: Span = NO_SPAN

    @classmethod
    def from_context(cls, context: Any, method: str) -> "Arrival":
        """Read the metadata of a call.

        Raises:
            InvalidRequestError: The timeout that it names cannot be read, or whether it wants the cost.
        """
        metadata: dict[str, str] = dict(context.invocation_metadata())
        at_most = _timeout_seconds(metadata) if "x-meshgate-timeout" in metadata else None
        return cls(
            credential=credential_in(metadata),
            client_address=metadata.get(CLIENT_ADDRESS_KEY, "")[:LONGEST_ADDRESS],
            request_id=metadata.get("x-request-id", "")[:_LONGEST_REQUEST_ID],
            traceparent=_traceparent(metadata),
            method=method,
            deadline=Deadline.from_context(context, at_most or DEFAULT_SECONDS),
            cache_control=metadata.get("cache-control", ""),
            wants_cost=_COST_WANTED in metadata and _wants_cost(metadata),
            told_headers=_told_headers(metadata) if "anthropic-version" in metadata else (),
            arrived_at=time.monotonic(),
        )

    def __repr__(self) -> str:
        """Without the credential."""
        return f"Arrival(request_id={self.request_id!r}, method={self.method!r})"

    def within(self, seconds: float) -> "Arrival":
        """The same, with so much time from now at most."""
        bound = Deadline.after(seconds)
        return self if self.deadline.at <= bound.at else replace(self, deadline=bound)

    def call_context(self, principal_id: str, revision: str) -> pb.CallContext:
        """What goes along with calls to other services."""
        context = new_context(principal_id, revision)
        self.describe(context)
        return context

    def describe(self, context: pb.CallContext) -> None:
        """Write into a context what is particular to this call."""
        context.request_id = self.request_id
        if self.traceparent:
            context.traceparent = self.traceparent
        set_duration(context.timeout, self.deadline.seconds_left())


def new_context(principal_id: str, revision: str) -> pb.CallContext:
    """What the calls on behalf of a principal have in common."""
    return pb.CallContext(
        principal_id=principal_id,
        config_revision=revision,
        priority_class=pb.PRIORITY_CLASS_INTERACTIVE,
        origin=pb.ORIGIN_REQUEST,
    )


def _traceparent(metadata: Mapping[str, str]) -> str:
    """The trace context; nothing where it is too long to be one, for a part of it is none."""
    traceparent = metadata.get("traceparent", "")
    return traceparent if len(traceparent) <= _LONGEST_TRACEPARENT else ""


def _told_headers(metadata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What is fit to be told to an upstream."""
    return tuple(
        (name, metadata[name])
        for name in _TOLD_HEADERS
        if 0 < len(metadata.get(name, "")) <= _LONGEST_TOLD
    )


def _timeout_seconds(metadata: Mapping[str, str]) -> float:
    text = metadata["x-meshgate-timeout"].strip()
    match = _TIMEOUT.fullmatch(text)
    seconds = float(match["number"]) * _UNIT_SECONDS[match["unit"] or "s"] if match else 0.0
    if seconds <= 0:
        raise InvalidRequestError(
            f"the header x-meshgate-timeout is {text[:40]!r}; it must be a duration such as 30s",
            header="x-meshgate-timeout",
        )
    return seconds


def _wants_cost(metadata: Mapping[str, str]) -> bool:
    text = metadata[_COST_WANTED].strip().lower()
    if text not in {"true", "false"}:
        raise InvalidRequestError(
            f"the header {_COST_WANTED} is {text[:40]!r}; it must be true or false",
            header=_COST_WANTED,
        )
    return text == "true"
