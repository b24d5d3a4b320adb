"""Who calls, once authenticated."""

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol, TypeAlias

from meshgate.runtime.errors import CredentialError, PermissionDeniedError

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
            )
        )
        return hashlib.sha256(content.encode()).hexdigest()[:12]


class PrincipalStore(Protocol):
    """Knows the principals of credentials."""

    async def find(self, credential: str, client_address: str) -> Principal | Refusal:
        """The principal of a credential that is used from an address, or why there is none.

        A refusal is an answer and not a failure: it is returned, never raised. It does not hold
        the credential.
        """
        ...
