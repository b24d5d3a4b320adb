"""Who calls, once authenticated."""

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol, TypeAlias

from meshgate.limits.limit import Subject
from meshgate.runtime.errors import (
    CredentialError,
    CredentialInvalidError,
    PermissionDeniedError,
    ServiceUnavailableError,
)

Refusal: TypeAlias = CredentialError | PermissionDeniedError


class PrincipalKind(enum.Enum):
    """How a caller proved who they are."""

    KEY = "key"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls and what they may use; see principal.proto for each field."""

    principal_id: str
    kind: PrincipalKind
    key_id: str = ""
    user_id: str = ""
    team_id: str = ""
    organization_id: str = "default"
    roles: tuple[str, ...] = ()
    allowed_models: tuple[str, ...] = ()
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    expire_time: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    subjects: tuple[Subject, ...] = ()

    @property
    def revision(self) -> str:
        """A hash of everything above, equal in all processes."""
        content = repr(
            (
                self.principal_id,
                self.kind.value,
                (self.key_id, self.user_id, self.team_id, self.organization_id),
                self.roles,
                self.allowed_models,
                [str(network) for network in self.allowed_networks],
                self.expire_time and self.expire_time.isoformat(),
                sorted(self.tags.items()),
                self.subjects,
            )
        )
        return hashlib.sha256(content.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Presented:
    """A credential, as somebody presents it.

    Attributes:
        credential: What the client sent. Never logged.
        client_address: Where from, as Envoy saw it.
    """

    credential: str = field(repr=False)
    client_address: str = ""


Finding: TypeAlias = Principal | Refusal | ServiceUnavailableError
"""Who it is, why it is nobody, or that it cannot be told now."""


class PrincipalStore(Protocol):
    """Knows the principals of credentials."""

    async def find(self, presented: Sequence[Presented]) -> Sequence[Finding]:
        """The principals of credentials, or why there are none: one finding each, in order.

        A refusal is an answer and not a failure, and one that cannot be answered fails no other:
        both are returned, never raised. Neither holds the credential.
        """
        ...


def admitted(principal: Principal, client_address: str, now: datetime) -> Principal | Refusal:
    """The principal, or why it may not come in from there and then."""
    if principal.expire_time is not None and principal.expire_time <= now:
        when = principal.expire_time.isoformat()
        return CredentialInvalidError(f"the key expired at {when}", expire_time=when)
    if principal.allowed_networks and not _is_inside(principal, client_address):
        return PermissionDeniedError(
            f"the key may not be used from {client_address}", client_address=client_address
        )
    return principal


def unknown() -> Refusal:
    """What everybody is told whose credential is not known, for whatever reason."""
    return CredentialInvalidError("the key is not known, or no longer")


def _is_inside(principal: Principal, client_address: str) -> bool:
    """Whether the address is in a network of the principal; not, if it is no address at all."""
    try:
        address: IPv4Address | IPv6Address = ip_address(client_address)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in principal.allowed_networks)
