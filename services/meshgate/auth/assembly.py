"""Builds the auth service."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from meshgate.auth.admin_api import admin_api
from meshgate.auth.chain import PrincipalChain
from meshgate.auth.changes import PrincipalChanges
from meshgate.auth.configured_keys import ConfiguredKeys, UnusableKeysError
from meshgate.auth.credentials import Peppers
from meshgate.auth.directory import Directory
from meshgate.auth.feed import ChangeFeed
from meshgate.auth.issued_keys import IssuedKeys
from meshgate.auth.principals import PrincipalStore
from meshgate.auth.scopes import NoScopes, ScopeSource
from meshgate.auth.servicer import AuthServicer
from meshgate.auth.settings import Settings
from meshgate.config.opening import open_source
from meshgate.config.secrets import LocalSecrets
from meshgate.config.source import ConfigSource
from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.errors import ServiceUnavailableError
from meshgate.runtime.peers import Peers
from meshgate.runtime.service import Implementation, Service
from meshgate.v1 import auth_service_pb2 as pb

if TYPE_CHECKING:
    from meshgate.auth.sql.opening import Opened

SERVICE = pb.DESCRIPTOR.services_by_name["AuthService"]


@dataclass(frozen=True)
class Knowledge:
    """What the service knows of callers.

    Attributes:
        store: Finds principals.
        directory: The records; None without a database.
        changes: Tells watchers what changes.
        sees_changes: Whether all that changes would be heard of.
        tasks: What keeps it up to date.
    """

    store: PrincipalStore
    directory: Directory | None
    changes: PrincipalChanges
    sees_changes: Callable[[], bool]
    tasks: Mapping[str, Callable[[], Awaitable[None]]]


@asynccontextmanager
async def assemble(env: Environment, _peers: Peers) -> AsyncIterator[Service]:
    """The auth service, for as long as the block lasts."""
    settings = Settings.read(env)
    source = open_source(env)
    async with knowledge(env, settings, source) as known:
        servicer = AuthServicer(
            known.store, known.changes, settings.heartbeat_seconds, known.sees_changes
        )
        yield Service(
            name="auth",
            implementations=(
                Implementation(SERVICE, servicer, internal=True),
                *admin_api(known.directory, source, known.store),
            ),
            tasks=known.tasks,
            drain=known.changes.close,
            lacks=lambda: () if known.sees_changes() else ("the database does not answer",),
        )


@asynccontextmanager
async def knowledge(
    env: Environment, settings: Settings, source: ConfigSource
) -> AsyncIterator[Knowledge]:
    """What is known, for as long as the block lasts: of the configuration, and of the database.

    Raises:
        SettingError: Keys of the configuration cannot be used, or the database cannot.
    """
    if settings.database_url is None:
        yield _of_configuration(env, settings, source)
        return
    # Here, so that a service without a database loads nothing for one.
    from meshgate.auth.sql.opening import opened  # noqa: PLC0415
    from meshgate.database.database import DatabaseUnusableError  # noqa: PLC0415

    peppers = settings.peppers()
    try:
        async with opened(settings.database_url, peppers, _now) as database:
            changes = PrincipalChanges()
            configured = _configured_keys(env, settings, source, changes, database.lookup)
            yield await _with_database(database, configured, changes, source, peppers)
    except DatabaseUnusableError as error:
        raise SettingError(str(error)) from None


def _of_configuration(env: Environment, settings: Settings, source: ConfigSource) -> Knowledge:
    changes = PrincipalChanges()
    keys = _configured_keys(env, settings, source, changes, NoScopes())
    tasks = {"follow the configuration": lambda: keys.follow(source)}
    return Knowledge(keys, None, changes, lambda: True, tasks)


async def _with_database(
    database: "Opened",
    configured: ConfiguredKeys,
    changes: PrincipalChanges,
    source: ConfigSource,
    peppers: Peppers,
) -> Knowledge:
    feed = ChangeFeed(database.reader)
    issued = IssuedKeys(database.lookup, peppers, feed.sees, lambda: configured.limits, _now)
    chain = PrincipalChain(configured, issued, changes)
    try:
        await feed.poll(chain.apply)
    except ServiceUnavailableError as error:
        raise SettingError(f"the database of auth does not answer: {error.message}") from None
    tasks = {
        "follow the configuration": lambda: chain.follow(source),
        "follow the database": lambda: feed.follow(chain.apply),
    }
    return Knowledge(chain, database.directory, changes, feed.sees, tasks)


def _configured_keys(
    env: Environment,
    settings: Settings,
    source: ConfigSource,
    changes: PrincipalChanges,
    scope_source: ScopeSource,
) -> ConfiguredKeys:
    try:
        return ConfiguredKeys(
            source.current(),
            LocalSecrets(env.variables),
            changes,
            admin_key=settings.admin_key,
            scope_source=scope_source,
        )
    except UnusableKeysError as error:
        raise SettingError(str(error)) from None


def _now() -> datetime:
    return datetime.now(UTC)
