"""The admin API of auth: its services over a directory, and who may call them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from meshgate.auth.administered_balances import AdministeredBalances
from meshgate.auth.administration import AdministeredKeys, AdministeredRecords
from meshgate.auth.balance_servicer import BalanceServicer
from meshgate.auth.declared_keys import KeysWithDeclared
from meshgate.auth.directory import Directory
from meshgate.auth.key_servicer import KeyServicer
from meshgate.auth.no_directory import NoDirectory
from meshgate.auth.organization_servicer import OrganizationServicer
from meshgate.auth.principals import Presented, Principal, PrincipalStore
from meshgate.auth.team_servicer import TeamServicer
from meshgate.auth.user_servicer import UserServicer
from meshgate.config.source import ConfigSource
from meshgate.runtime.authorization import Authorizer
from meshgate.runtime.credentials import Credential
from meshgate.runtime.permissions import Caller
from meshgate.runtime.service import Implementation
from meshgate.v1 import (
    balance_service_pb2,
    key_service_pb2,
    organization_service_pb2,
    team_service_pb2,
    user_service_pb2,
)


def _now() -> datetime:
    return datetime.now(UTC)


def admin_api(
    directory: Directory | None,
    source: ConfigSource,
    principals: PrincipalStore,
    now: Callable[[], datetime] = _now,
) -> tuple[Implementation, ...]:
    """KeyService, TeamService, UserService, OrganizationService and BalanceService.

    Args:
        directory: The records; None where there is no database.
        source: Has the keys of the configuration, which are shown beside the others.
        principals: Knows who calls.
        now: The clock.
    """
    directory = directory or NoDirectory()
    authorizer = Authorizer(StoreAuthenticator(principals))
    all_keys = KeysWithDeclared(directory.keys, source)
    keys = AdministeredKeys(all_keys)
    servicers = {
        key_service_pb2: KeyServicer(keys, now),
        team_service_pb2: TeamServicer(AdministeredRecords("team", directory.teams)),
        user_service_pb2: UserServicer(AdministeredRecords("user", directory.users)),
        organization_service_pb2: OrganizationServicer(
            AdministeredRecords("organization", directory.organizations)
        ),
        balance_service_pb2: BalanceServicer(AdministeredBalances(directory, all_keys)),
    }
    return tuple(
        Implementation(service, servicer, authorizer=authorizer)
        for module, servicer in servicers.items()
        for service in module.DESCRIPTOR.services_by_name.values()
    )


class StoreAuthenticator:
    """An `Authenticator` in the process of auth itself."""

    def __init__(self, principals: PrincipalStore) -> None:
        self._principals = principals

    async def authenticate(self, credential: Credential, _method: str, _context: Any) -> Caller:
        presented = Presented(credential.text, credential.client_address)
        [found] = await self._principals.find([presented])
        if not isinstance(found, Principal):
            raise found
        return Caller(
            principal_id=found.principal_id,
            organization_id=found.organization_id,
            team_id=found.team_id,
            roles=found.roles,
            allowed_models=found.allowed_models,
        )
