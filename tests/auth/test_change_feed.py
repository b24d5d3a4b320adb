"""What one process of auth changes, the others hear of: on every database."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
from auth.configuration import key as configured_key
from auth.instance import running_instance
from auth.opened_records import ONE_AT_A_TIME, TEN_A_MINUTE, key, organization, team, user
from structlog.testing import capture_logs

from meshgate.auth.feed import BLIND_AFTER_SECONDS, EVERYTHING_CHANGED, ChangeFeed, Changes
from meshgate.auth.principals import Principal
from meshgate.auth.sql import change_log
from meshgate.config.snapshot import LimitsOptions, Snapshot
from meshgate.limits.limit import Subject, SubjectKind
from meshgate.runtime.errors import CredentialInvalidError, ServiceUnavailableError


@pytest.fixture
async def two(database_url, clock):
    """Two processes on one database."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(running_instance(database_url, clock)) for _ in range(2)
        ]


async def told(watch):
    return await watch.next(within_seconds=0)


async def test_a_revoke_here_is_told_and_holds_there(two):
    here, there = two
    issued = await here.directory.keys.issue(key())
    await there.poll()
    assert isinstance(await there.find(issued.credential), Principal)

    with there.changes.watch() as watch:
        await here.directory.keys.revoke(issued.key.id)
        before = await told(watch)
        await there.poll()
        after = await told(watch)

    assert (before, after) == (frozenset(), {issued.key.id})
    assert isinstance(await there.find(issued.credential), CredentialInvalidError)


async def test_a_key_that_is_issued_here_is_good_there_at_once(two):
    here, there = two

    issued = await here.directory.keys.issue(key())

    assert isinstance(await there.find(issued.credential), Principal)


async def test_a_key_that_is_rotated_here_is_good_there_at_once(two, clock):
    here, there = two
    issued = await here.directory.keys.issue(key())
    await there.find(issued.credential)
    clock.advance(seconds=1)

    rotated = await here.directory.keys.rotate(issued.key.id, timedelta())

    assert isinstance(await there.find(rotated.credential), Principal)


async def test_new_limits_of_whom_a_key_belongs_to_are_told_and_hold_there(two):
    here, there = two
    directory = here.directory
    acme = await directory.organizations.create(organization())
    within = {"organization_id": acme.id}
    core = await directory.teams.create(team(**within))
    ada = await directory.users.create(user(team_ids=(core.id,), **within))
    issued = await directory.keys.issue(key(team_id=core.id, user_id=ada.id, **within))
    await there.find(issued.credential)
    await there.poll()

    for collection, of in (("organizations", acme), ("teams", core), ("users", ada)):
        with there.changes.watch() as watch:
            await getattr(directory, collection).update(
                of.id, lambda record: replace(record, limits=(TEN_A_MINUTE,))
            )
            await there.poll()
            assert issued.key.id in await told(watch)
    found = await there.find(issued.credential)

    assert found.subjects == (
        Subject(SubjectKind.USER, ada.id, (TEN_A_MINUTE,)),
        Subject(SubjectKind.TEAM, core.id, (TEN_A_MINUTE,)),
        Subject(SubjectKind.ORGANIZATION, acme.id, (TEN_A_MINUTE,)),
    )


async def test_a_role_that_a_user_loses_is_lost_to_their_keys_there(two):
    here, there = two
    ada = await here.directory.users.create(user(roles=("admin",)))
    issued = await here.directory.keys.issue(key(user_id=ada.id, roles=("admin",)))
    before = await there.find(issued.credential)

    await here.directory.users.update(ada.id, lambda record: replace(record, roles=()))
    await there.poll()

    assert (before.roles, (await there.find(issued.credential)).roles) == (("admin",), ())


async def test_a_new_name_concerns_no_key(two):
    here, there = two
    core = await here.directory.teams.create(team())
    issued = await here.directory.keys.issue(key(team_id=core.id))
    await there.poll()

    with there.changes.watch() as watch:
        await here.directory.teams.update(core.id, lambda record: replace(record, name="other"))
        await there.poll()

        assert issued.key.id not in await told(watch)


async def test_a_change_of_more_keys_than_can_be_named_changes_everything(two, monkeypatch):
    monkeypatch.setattr(change_log, "MOST_NAMED", 1)
    here, there = two
    core = await here.directory.teams.create(team())
    issued = [await here.directory.keys.issue(key(n, team_id=core.id)) for n in ("a", "b")]
    await there.find(issued[0].credential)
    await there.poll()

    with there.changes.watch() as watch:
        await here.directory.teams.update(
            core.id, lambda record: replace(record, limits=(TEN_A_MINUTE,))
        )
        await there.poll()
        with pytest.raises(ServiceUnavailableError):
            await told(watch)

    assert (await there.find(issued[0].credential)).subjects != ()


async def test_who_missed_more_than_is_kept_knows_nothing_any_more(two, monkeypatch):
    monkeypatch.setattr(change_log, "KEPT_CHANGES", 2)
    here, there = two

    with there.changes.watch() as watch:
        for number in range(4):
            await here.directory.keys.issue(key(str(number)))
        await there.poll()

        with pytest.raises(ServiceUnavailableError):
            await told(watch)


async def test_who_missed_little_is_told_of_each(two):
    here, there = two

    with there.changes.watch() as watch:
        issued = [await here.directory.keys.issue(key(str(number))) for number in range(4)]
        await there.poll()

        assert await told(watch) == {one.key.id for one in issued}


async def test_writers_in_two_processes_miss_no_change_of_each_other(two):
    here, there = two

    async def write(instance, prefix):
        for number in range(10):
            await instance.directory.keys.issue(key(f"{prefix}{number}"))

    with here.changes.watch() as watch:
        await asyncio.gather(write(here, "a"), write(there, "b"))
        await here.poll()
        page = await here.directory.keys.list()

        assert await told(watch) == {record.id for record in page.records}
    assert len(page.records) == 20


async def test_two_who_change_one_record_at_once_do_not_undo_each_other(two):
    here = two[0]
    core = await here.directory.teams.create(team())

    async def tag(instance, name):
        await instance.directory.teams.update(
            core.id, lambda record: replace(record, tags={**record.tags, name: "x"})
        )

    await asyncio.gather(*(tag(two[n % 2], f"t{n}") for n in range(10)))

    assert len((await here.directory.teams.get(core.id)).tags) == 10


async def test_a_key_of_the_configuration_has_the_limits_of_the_records_it_names(
    database_url, clock, two
):
    here = two[0]
    core = await here.directory.teams.create(team(limits=(TEN_A_MINUTE,)))
    declared = configured_key("a", team_id=core.id, limits=(ONE_AT_A_TIME,))
    snapshot = Snapshot("one", keys={declared.key_id: declared})

    async with running_instance(database_url, clock, snapshot) as there:
        before = await there.find("secret of a")
        with there.changes.watch() as watch:
            await here.directory.teams.update(core.id, lambda record: replace(record, limits=()))
            await there.poll()
            changed = await told(watch)
        after = await there.find("secret of a")

    own = Subject(SubjectKind.KEY, "config/a", (ONE_AT_A_TIME,))
    assert before.subjects == (own, Subject(SubjectKind.TEAM, core.id, (TEN_A_MINUTE,)))
    assert "config/a" in changed
    assert after.subjects == (own,)


async def test_other_default_limits_change_every_principal(two):
    here = two[0]
    issued = await here.directory.keys.issue(key())
    before = await here.find(issued.credential)

    with here.changes.watch() as watch:
        await here.chain.replace(Snapshot("new", limits=LimitsOptions(default=(TEN_A_MINUTE,))))
        with pytest.raises(ServiceUnavailableError):
            await told(watch)
    after = await here.find(issued.credential)

    assert (before.subjects, len(after.subjects)) == ((), 1)


class Reader:
    """Changes that the test makes up."""

    def __init__(self) -> None:
        self.answers = []
        self.asked = []

    async def since(self, seen):
        self.asked.append(seen)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_changes_are_seen_for_a_while_after_each_poll_and_no_longer():
    reader, time = Reader(), [0.0]
    feed = ChangeFeed(reader, now=lambda: time[0])
    at_first = feed.sees()
    reader.answers = [Changes(1, EVERYTHING_CHANGED), ServiceUnavailableError("gone")]

    await feed.poll(ignored)
    time[0] += BLIND_AFTER_SECONDS
    still = feed.sees()
    with pytest.raises(ServiceUnavailableError):
        await feed.poll(ignored)
    time[0] += 0.01

    assert (at_first, still, feed.sees()) == (False, True, False)


async def test_the_feed_goes_on_after_faults_and_tells_of_them_once():
    reader = Reader()
    gone = ServiceUnavailableError("gone")
    nothing = frozenset()
    reader.answers = [Changes(4, None), gone, gone, gone, Changes(5, nothing), Changes(5, nothing)]
    applied = []

    async def apply(changed):
        applied.append(changed)

    with capture_logs() as logs, pytest.raises(IndexError):
        await ChangeFeed(reader, sleep=ignored).follow(apply)

    assert reader.asked == [None, 4, 4, 4, 4, 5, 5]
    assert applied == [None, nothing, nothing]
    assert [line["event"] for line in logs] == [
        "changes of keys are not seen",
        "changes of keys are seen again",
    ]


async def ignored(_value):
    """Does nothing."""
