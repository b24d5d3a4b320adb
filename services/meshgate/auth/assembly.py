"""Builds the auth service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from meshgate.auth.changes import PrincipalChanges
from meshgate.auth.configured_keys import ConfiguredKeys, UnusableKeysError
from meshgate.auth.servicer import AuthServicer
from meshgate.auth.settings import Settings
from meshgate.config.opening import open_source
from meshgate.config.secrets import LocalSecrets
from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.peers import Peers
from meshgate.runtime.service import Implementation, Service
from meshgate.v1 import auth_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["AuthService"]


@asynccontextmanager
async def assemble(env: Environment, _peers: Peers) -> AsyncIterator[Service]:
    """The auth service, for as long as the block lasts."""
    settings = Settings.read(env)
    source = open_source(env)
    changes = PrincipalChanges()
    try:
        keys = ConfiguredKeys(
            source.current(),
            LocalSecrets(env.variables),
            changes,
            admin_key=settings.admin_key,
        )
    except UnusableKeysError as error:
        raise SettingError(str(error)) from None
    servicer = AuthServicer(keys, changes, settings.heartbeat_seconds)
    yield Service(
        name="auth",
        implementations=(Implementation(SERVICE, servicer, internal=True),),
        tasks={"follow the configuration": lambda: keys.follow(source)},
        drain=changes.close,
    )
