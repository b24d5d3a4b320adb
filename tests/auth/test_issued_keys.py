"""What auth keeps of keys in the database, and what it asks for."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

import pytest
from auth.opened_records import NOW, PEPPERS, TEN_A_MINUTE, Clock, key

from meshgate.auth.issued_keys import Bounds, IssuedKeys, StoredKey
from meshgate.auth.principals import Presented, Principal, PrincipalKind
from meshgate.auth.scopes import NO_SCOPES, Scopes
from meshgate.config.snapshot import LimitsOptions
from meshgate.limits.limit import Subject, SubjectKind
from meshgate.runtime.errors import (
    CredentialInvalidError,
    PermissionDeniedError,
    ServiceUnavailableError,
)


class Lookup:
    """Keys that the test makes, and what was asked for."""

    def __init__(self) -> None:
        self.stored = {}
        self.asked = []
        self.fails = False
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def stored_keys(self, key_ids):
        self.asked.append(sorted(key_ids))
        if self.fails:
            raise ServiceUnavailableError("gone")
        found = {of: self.stored[of] for of in key_ids if of in self.stored}
        await self.goes_on.wait()
        return found

    def make(self, scopes=NO_SCOPES, previous=None, **fields):
        credential = PEPPERS.new_credential()
        kept = previous and PEPPERS.hash(previous(credential.key_id))
        record = key(key_id=credential.key_id, **fields)
        self.stored[record.id] = StoredKey(record, PEPPERS.hash(credential), kept, scopes)
        return credential


class World:
    """Keys over a look-up of the test's."""

    def __init__(self, **bounds) -> None:
        self.lookup = Lookup()
        self.clock = Clock()
        self.sees = True
        self.options = LimitsOptions()
        self.keys = IssuedKeys(
            self.lookup,
            PEPPERS,
            lambda: self.sees,
            lambda: self.options,
            self.clock,
            Bounds(**bounds),
        )

    async def find(self, credential, client_address=""):
        [found] = await self.keys.find([Presented(credential.text, client_address)])
        return found


@pytest.fixture
def world():
    return World()


async def test_a_key_makes_a_principal(world):
    scopes = Scopes(
        limits={"team_a": (TEN_A_MINUTE,)},
        model_groups={"org_a": {"cheap": ("qwen*", "m")}},
        roles={"user_a": ("viewer",)},
    )
    made = world.lookup.make(
        scopes,
        organization_id="org_a",
        team_id="team_a",
        user_id="user_a",
        allowed_models=("m", "group:cheap", "group:gone"),
        allowed_networks=("10.0.0.0/8",),
        roles=("admin", "viewer"),
        expire_time=NOW + timedelta(days=1),
        tags={"env": "test"},
    )

    found = await world.find(made, "10.1.1.1")

    assert found == Principal(
        made.key_id,
        PrincipalKind.KEY,
        key_id=made.key_id,
        organization_id="org_a",
        team_id="team_a",
        user_id="user_a",
        allowed_models=("m", "qwen*"),
        allowed_networks=(ip_network("10.0.0.0/8"),),
        roles=("viewer",),
        expire_time=NOW + timedelta(days=1),
        tags={"env": "test"},
        subjects=(Subject(SubjectKind.TEAM, "team_a", (TEN_A_MINUTE,)),),
    )


async def test_a_key_of_nobody_has_its_roles(world):
    made = world.lookup.make(roles=("admin",))

    assert (await world.find(made)).roles == ("admin",)


async def test_what_cannot_be_a_key_is_refused_without_a_look_up(world):
    presented = ["", "mg-nonsense", "sk-" + "x" * 40, "mg-" + "a" * 20 + "-" + "x" * 43]

    found = await world.keys.find([Presented(text) for text in presented])

    assert [type(one) for one in found] == [CredentialInvalidError] * 4
    assert world.lookup.asked == []


async def test_a_batch_is_looked_up_at_once_and_answered_in_order(world):
    made = [world.lookup.make() for _ in range(3)]
    presented = [made[2], PEPPERS.new_credential(), made[0], made[2], made[1]]

    found = await world.keys.find([Presented(one.text) for one in presented])

    assert len(world.lookup.asked) == 1
    ids = [one.principal_id if isinstance(one, Principal) else None for one in found]
    assert ids == [made[2].key_id, None, made[0].key_id, made[2].key_id, made[1].key_id]


async def test_what_was_found_is_not_looked_up_again_nor_what_was_not(world):
    made, stranger = world.lookup.make(), PEPPERS.new_credential()

    for _ in range(2):
        await world.find(made)
        await world.find(stranger)

    assert world.lookup.asked == [[made.key_id], [stranger.key_id]]


async def test_while_changes_are_not_seen_everything_is_looked_up(world):
    made = world.lookup.make()
    world.sees = False

    await world.find(made)
    await world.find(made)

    assert len(world.lookup.asked) == 2


@pytest.mark.parametrize("changed", ["it", "everything"])
async def test_what_changed_is_looked_up_again(world, changed):
    made, other = world.lookup.make(), world.lookup.make()
    await world.find(made)
    await world.find(other)
    stored = world.lookup.stored[made.key_id]
    revoked = replace(stored, key=replace(stored.key, revoke_time=NOW))
    world.lookup.stored[made.key_id] = revoked

    world.keys.forget(frozenset({made.key_id}) if changed == "it" else None)
    found = await world.find(made)
    await world.find(other)

    assert isinstance(found, CredentialInvalidError)
    assert "revoked" in found.message
    assert len(world.lookup.asked) == (3 if changed == "it" else 4)


async def test_what_is_found_while_something_changes_is_not_kept(world):
    made = world.lookup.make()
    world.lookup.goes_on.clear()
    finding = asyncio.ensure_future(world.find(made))
    while not world.lookup.asked:
        await asyncio.sleep(0)

    world.keys.forget(frozenset({made.key_id}))
    world.lookup.goes_on.set()
    await finding
    await world.find(made)

    assert len(world.lookup.asked) == 2


async def test_only_so_many_keys_are_kept():
    world = World(keys=10)
    made = [world.lookup.make() for _ in range(20)]

    for one in made:
        await world.find(one)

    assert len(world.keys._known) == 10


async def test_a_wrong_secret_finds_nobody_and_asks_but_once_a_second(world):
    made = world.lookup.make()
    await world.find(made)

    for _ in range(3):
        for _ in range(5):
            found = await world.find(PEPPERS.new_secret(made.key_id))
        world.clock.advance(seconds=1)

    assert isinstance(found, CredentialInvalidError)
    assert len(world.lookup.asked) == 3


async def test_a_new_secret_is_good_before_its_change_is_heard_of(world):
    made = world.lookup.make()
    await world.find(made)
    world.clock.advance(seconds=1)
    rotated = PEPPERS.new_secret(made.key_id)
    stored = world.lookup.stored[made.key_id]
    world.lookup.stored[made.key_id] = replace(stored, secret_hash=PEPPERS.hash(rotated))

    assert isinstance(await world.find(rotated), Principal)
    assert isinstance(await world.find(made), CredentialInvalidError)


async def test_the_secret_before_is_good_until_the_overlap_ends(world):
    old = []

    def previous(key_id):
        old.append(PEPPERS.new_secret(key_id))
        return old[0]

    end = NOW + timedelta(hours=1)
    made = world.lookup.make(previous=previous, overlap_end_time=end)

    before = await world.find(old[0])
    world.clock.advance(hours=1)

    assert before == replace(await world.find(made), expire_time=end)
    assert isinstance(await world.find(old[0]), CredentialInvalidError)


async def test_expiry_and_networks_are_looked_at_each_time(world):
    made = world.lookup.make(
        expire_time=NOW + timedelta(seconds=1), allowed_networks=("10.0.0.0/8",)
    )

    assert isinstance(await world.find(made, "10.0.0.1"), Principal)
    assert isinstance(await world.find(made, "192.0.2.1"), PermissionDeniedError)
    world.clock.advance(seconds=1)
    assert isinstance(await world.find(made, "10.0.0.1"), CredentialInvalidError)


async def test_a_failed_look_up_fails_those_who_need_it_and_no_others(world):
    known, unheard = world.lookup.make(), world.lookup.make()
    await world.find(known)
    world.lookup.fails = True

    found = await world.keys.find(
        [Presented(text) for text in (known.text, unheard.text, "nonsense")]
    )

    kinds = [Principal, ServiceUnavailableError, CredentialInvalidError]
    assert [type(one) for one in found] == kinds


async def test_after_a_failure_nobody_asks_again_until_changes_are_seen(world):
    made = world.lookup.make()
    world.lookup.fails, world.sees = True, False
    await world.find(made)
    world.lookup.fails = False

    blind = await world.find(made)
    world.sees = True
    seeing = await world.find(made)

    assert isinstance(blind, ServiceUnavailableError)
    assert isinstance(seeing, Principal)
    assert len(world.lookup.asked) == 2


async def test_a_look_up_that_does_not_end_is_given_up():
    world = World(wait_seconds=0.01)
    world.lookup.goes_on.clear()

    found = await world.find(world.lookup.make())

    assert isinstance(found, ServiceUnavailableError)


async def test_only_so_many_look_ups_run_at_a_time():
    world = World(lookups=2)
    world.lookup.goes_on.clear()
    made = [world.lookup.make() for _ in range(5)]

    finding = [asyncio.ensure_future(world.find(one)) for one in made]
    for _ in range(50):
        await asyncio.sleep(0)

    assert len(world.lookup.asked) == 2
    world.lookup.goes_on.set()
    assert all(isinstance(one, Principal) for one in await asyncio.gather(*finding))


async def test_the_limits_of_the_configuration_hold_as_they_are_now(world):
    made = world.lookup.make()
    await world.find(made)

    world.options = LimitsOptions(default=(TEN_A_MINUTE,))
    world.keys.forget(None)
    found = await world.find(made)

    assert found.subjects == (Subject(SubjectKind.KEY, made.key_id, (TEN_A_MINUTE,)),)
