import asyncio
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest
from auth.configuration import Secrets, key, snapshot
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from meshgate.auth.changes import PrincipalChanges
from meshgate.auth.configured_keys import ConfiguredKeys, UnusableKeysError
from meshgate.auth.principals import Presented, Principal, PrincipalKind
from meshgate.config.source import FileSource
from meshgate.limits.limit import Subject, SubjectKind
from meshgate.runtime.errors import CredentialInvalidError, PermissionDeniedError

NOW = datetime(2027, 1, 1, tzinfo=UTC)


def keys_of(*keys, secrets=None, changes=None, **options):
    return ConfiguredKeys(
        snapshot(*keys), secrets or Secrets(), changes or PrincipalChanges(), **options
    )


async def finding(keys, credential, client_address):
    [found] = await keys.find([Presented(credential, client_address)])
    return found


async def test_the_whole_value_of_a_key_finds_its_principal():
    declared = key(
        "a",
        allowed_models=("m", "gpt-*"),
        organization_id="acme",
        team_id="core",
        user_id="ada",
        tags={"env": "test"},
    )

    found = await finding(keys_of(declared), "secret of a", "")

    assert found == Principal(
        "config/a",
        PrincipalKind.KEY,
        key_id="config/a",
        organization_id="acme",
        team_id="core",
        user_id="ada",
        allowed_models=("m", "gpt-*"),
        tags={"env": "test"},
    )


@pytest.mark.parametrize(
    "credential", ["", "secret of ", "secret of a ", "SECRET OF A", "config/a"]
)
async def test_anything_else_finds_nobody(credential):
    found = await finding(keys_of(key("a"), admin_key=None), credential, "")

    assert isinstance(found, CredentialInvalidError)


@given(st.text())
async def test_a_refusal_never_holds_the_credential(credential):
    found = await finding(keys_of(), "hunter2" + credential, "")

    assert isinstance(found, CredentialInvalidError)
    assert "hunter2" not in found.message


async def test_the_admin_key_finds_the_administrator():
    found = await finding(keys_of(admin_key="root"), "root", "")

    assert isinstance(found, Principal)
    assert (found.principal_id, found.kind) == ("admin", PrincipalKind.ADMIN)
    assert found.allowed_models == ("*",)


async def test_a_key_is_refused_from_the_moment_at_which_it_expires():
    declared = [
        key("old", expire_time=NOW),
        key("young", expire_time=NOW + timedelta(seconds=1)),
    ]
    keys = keys_of(*declared, now=lambda: NOW)

    old = await finding(keys, "secret of old", "")
    young = await finding(keys, "secret of young", "")

    assert isinstance(old, CredentialInvalidError)
    assert old.values == {"expire_time": "2027-01-01T00:00:00+00:00"}
    assert isinstance(young, Principal)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"])
async def test_a_key_may_be_used_from_its_networks(address):
    declared = key("a", allowed_networks=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")))

    assert isinstance(await finding(keys_of(declared), "secret of a", address), Principal)


@pytest.mark.parametrize("address", ["11.1.2.3", "fe80::1", "", "nonsense", "10.1.2.3.4"])
async def test_a_key_may_not_be_used_from_elsewhere(address):
    declared = key("a", allowed_networks=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")))

    found = await finding(keys_of(declared), "secret of a", address)

    assert isinstance(found, PermissionDeniedError)
    assert found.values == {"client_address": address}


def test_secrets_that_cannot_be_used_are_all_told_at_the_start():
    declared = [key("a"), key("b"), key("c"), key("d")]
    secrets = Secrets(b=None, c="secret of a", d="root")

    with pytest.raises(UnusableKeysError) as caught:
        keys_of(*declared, secrets=secrets, admin_key="root")

    assert str(caught.value).splitlines() == [
        "the key config/b cannot be used: b is not set",
        "the key config/c is the same as config/a: use another one",
        "the key config/d is the same as admin: use another one",
    ]


async def test_a_key_that_left_finds_nobody():
    keys = keys_of(key("a"), key("b"))

    await keys.replace(snapshot(key("b")))

    assert isinstance(await finding(keys, "secret of a", ""), CredentialInvalidError)
    assert isinstance(await finding(keys, "secret of b", ""), Principal)


async def test_exactly_the_principals_that_changed_are_told():
    changes = PrincipalChanges()
    before = [
        key("same"),
        key("gone"),
        key("other"),
        key("rotated"),
        key("tagged", tags={"a": "b"}),
    ]
    after = [
        key("same"),
        key("new"),
        key("other", allowed_models=("m",)),
        key("rotated", variable="x"),
        key("tagged", tags={"a": "b"}),
    ]
    keys = keys_of(*before, changes=changes)

    with changes.watch() as watch:
        await keys.replace(snapshot(*after))
        changed = await watch.next(within_seconds=0)

    assert changed == {"config/gone", "config/new", "config/other", "config/rotated"}


async def test_what_is_told_has_already_happened():
    class Probe(PrincipalChanges):
        def publish(self, principal_ids):
            self.known = list(keys._table.principals.values())

    probe = Probe()
    keys = keys_of(changes=probe)
    declared = key("a")

    await keys.replace(snapshot(declared))

    assert [principal.principal_id for principal in probe.known] == ["config/a"]


async def test_after_the_start_unusable_keys_are_left_out_and_logged():
    keys = keys_of(key("a"), secrets=Secrets(b=None))

    with capture_logs() as logs:
        await keys.replace(snapshot(key("b"), key("c")))

    assert isinstance(await finding(keys, "secret of a", ""), CredentialInvalidError)
    assert isinstance(await finding(keys, "secret of c", ""), Principal)
    assert logs[0]["problems"] == ("the key config/b cannot be used: b is not set",)


def test_the_revision_of_a_principal_changes_with_each_field():
    first = Principal("a", PrincipalKind.KEY)
    variants = [
        Principal("b", PrincipalKind.KEY),
        Principal("a", PrincipalKind.ADMIN),
        Principal("a", PrincipalKind.KEY, key_id="x"),
        Principal("a", PrincipalKind.KEY, user_id="x"),
        Principal("a", PrincipalKind.KEY, team_id="x"),
        Principal("a", PrincipalKind.KEY, organization_id="x"),
        Principal("a", PrincipalKind.KEY, roles=("x",)),
        Principal("a", PrincipalKind.KEY, allowed_models=("x",)),
        Principal("a", PrincipalKind.KEY, allowed_networks=(ip_network("::/0"),)),
        Principal("a", PrincipalKind.KEY, expire_time=NOW),
        Principal("a", PrincipalKind.KEY, tags={"x": "y"}),
        Principal("a", PrincipalKind.KEY, subjects=(Subject(SubjectKind.KEY, "a"),)),
    ]

    assert len({principal.revision for principal in [first, *variants]}) == 13
    assert Principal("a", PrincipalKind.KEY).revision == first.revision


async def test_a_key_that_leaves_the_file_is_told_and_dead_after_one_poll(tmp_path):
    file = tmp_path / "meshgate.yaml"
    file.write_text("keys:\n- {name: a, key: '${env:a}'}\n- {name: b, key: '${env:b}'}\n")
    poll = asyncio.Semaphore(0)
    source = FileSource(file, sleep=lambda _seconds: poll.acquire())
    changes = PrincipalChanges()
    keys = ConfiguredKeys(source.current(), Secrets(), changes)

    with changes.watch() as watch:
        following = asyncio.ensure_future(keys.follow(source))
        file.write_text("keys:\n- {name: b, key: '${env:b}'}\n")
        poll.release()
        changed = await watch.next(within_seconds=60)

    assert changed == {"config/a"}
    assert isinstance(await finding(keys, "secret of a", ""), CredentialInvalidError)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
