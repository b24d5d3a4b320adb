"""The service as its environment has it, with a database and without."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from auth.opened_records import PEPPER, key

from meshgate.auth.assembly import assemble, knowledge
from meshgate.auth.principals import Presented, Principal
from meshgate.auth.settings import Settings
from meshgate.config.opening import open_source
from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.errors import CredentialInvalidError
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.peers import Peers


@asynccontextmanager
async def known_with(**variables):
    env = Environment({"MESHGATE_ADMIN_KEY": "root", **variables})
    async with knowledge(env, Settings.read(env), open_source(env)) as known:
        yield known


async def find(known, *credentials):
    return await known.store.find([Presented(credential) for credential in credentials])


async def test_without_a_database_there_are_only_the_keys_of_the_configuration():
    async with known_with() as known:
        found, refused = await find(known, "root", "nobody")

    assert known.directory is None
    assert known.sees_changes()
    assert isinstance(found, Principal)
    assert isinstance(refused, CredentialInvalidError)
    assert list(known.tasks) == ["follow the configuration"]


async def test_with_a_database_there_are_its_keys_as_well(database_url):
    async with known_with(AUTH_DATABASE_URL=database_url, MESHGATE_KEY_PEPPER=PEPPER) as known:
        issued = await known.directory.keys.issue(key())
        found = await find(known, "root", issued.credential)

    ids = [one.principal_id for one in found]
    assert ids == ["admin", issued.key.id]


async def test_changes_are_seen_from_the_start_and_followed(database_url):
    async with known_with(AUTH_DATABASE_URL=database_url, MESHGATE_KEY_PEPPER=PEPPER) as known:
        seen_at_first = known.sees_changes()
        following = asyncio.ensure_future(known.tasks["follow the database"]())
        with known.changes.watch() as watch:
            issued = await known.directory.keys.issue(key())
            told = await watch.next(within_seconds=20)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    assert seen_at_first
    assert told == {issued.key.id}


@pytest.mark.parametrize("url", ["nonsense", "sqlite:////nowhere/auth.sqlite"])
async def test_a_database_that_cannot_be_used_keeps_the_service_from_starting(url):
    env = Environment({"AUTH_DATABASE_URL": url, "MESHGATE_KEY_PEPPER": PEPPER})

    with pytest.raises(SettingError, match=r"AUTH_DATABASE_URL|meshgate migrate"):
        async with Peers(env, MeshIdentity(None)) as peers, assemble(env, peers):
            pass
