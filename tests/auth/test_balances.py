"""Balances in SQL: what top-ups come to, and what they allow the principals of keys."""

import asyncio
from uuid import uuid4

import pytest
from auth.opened_records import NOW, PEPPERS, TEN_A_MINUTE, Clock, key, organization, team, user
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshgate.auth.balances import Owner, TopUpOrder, limit_of
from meshgate.auth.feed import EVERYTHING_CHANGED
from meshgate.auth.sql.opening import opened
from meshgate.limits.limit import LARGEST_COST_NANOS, Enforcement, SubjectKind
from meshgate.runtime.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    GatewayError,
    InvalidRequestError,
    NotFoundError,
)

USD = 10**9
TEAM = Owner(SubjectKind.TEAM, "team_1")


@pytest.fixture
def balances(records):
    return records.directory.balances


def order(top_up_id, amount_nanos, owner=TEAM, **fields):
    places = {"organization_id": "default", "team_id": "", **fields}
    return TopUpOrder(top_up_id=top_up_id, owner=owner, amount_nanos=amount_nanos, **places)


async def test_a_balance_is_what_its_top_ups_come_to(balances, clock):
    await balances.top_up(order("a", 5 * USD, note="invoice 7", creator_id="admin"))
    clock.advance(hours=1)
    balance, top_up = await balances.top_up(order("b", -2 * USD))

    assert balance == await balances.get(TEAM)
    assert (balance.amount_nanos, balance.enforcement) == (3 * USD, Enforcement.NORMAL)
    assert (balance.create_time, balance.update_time) == (NOW, clock())
    assert (top_up.amount_nanos, top_up.balance_nanos) == (-2 * USD, 3 * USD)
    [newest, oldest] = (await balances.top_ups(TEAM, 0, "")).top_ups
    assert newest == top_up
    assert (oldest.note, oldest.creator_id, oldest.create_time) == ("invoice 7", "admin", NOW)


async def test_a_top_up_that_was_made_already_is_not_made_again(balances, clock):
    _, first = await balances.top_up(order("a", 5 * USD, note="once"))
    await balances.top_up(order("b", 1 * USD))
    clock.advance(days=1)

    balance, again = await balances.top_up(order("a", 5 * USD, note="once"))

    assert again == first
    assert balance.amount_nanos == 6 * USD


async def test_one_top_up_that_is_sent_many_times_at_once_counts_once(balances):
    made = await asyncio.gather(*(balances.top_up(order("a", 5 * USD)) for _ in range(8)))

    assert {balance.amount_nanos for balance, _ in made} == {5 * USD}


@pytest.mark.parametrize(
    "other",
    [
        order("a", 6 * USD),
        order("a", 5 * USD, note="another"),
        order("a", 5 * USD, Owner(SubjectKind.TEAM, "team_2")),
    ],
)
async def test_an_id_names_one_top_up_alone(balances, other):
    await balances.top_up(order("a", 5 * USD))

    with pytest.raises(AlreadyExistsError) as raised:
        await balances.top_up(other)

    assert raised.value.field == "top_up_id"
    assert (await balances.get(TEAM)).amount_nanos == 5 * USD


@pytest.mark.parametrize("amount", [-5 * USD - 1, LARGEST_COST_NANOS])
async def test_what_top_ups_cannot_come_to_changes_nothing(balances, amount):
    await balances.top_up(order("a", 5 * USD))

    with pytest.raises(FailedPreconditionError):
        await balances.top_up(order("b", amount))

    assert (await balances.get(TEAM)).amount_nanos == 5 * USD
    assert len((await balances.top_ups(TEAM, 0, "")).top_ups) == 1


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(amounts=st.lists(st.integers(-3, 5), min_size=1, max_size=8))
def test_no_order_of_top_ups_makes_a_balance_that_is_less_than_nothing(sqlite_url, amounts):
    async def run():
        salt = uuid4()  # one database for all examples
        owner, taken = Owner(SubjectKind.TEAM, f"team_{salt}"), []
        async with opened(sqlite_url, PEPPERS, Clock(), wait_seconds=20.0) as database:
            balances = database.directory.balances
            for number, amount in enumerate(amounts):
                try:
                    await balances.top_up(order(f"{salt}-{number}", amount, owner))
                    taken.append(amount)
                except FailedPreconditionError:
                    assert sum(taken) + amount < 0
            if taken:
                balance = await balances.get(owner)
                page = await balances.top_ups(owner, 0, "")
                assert balance.amount_nanos == sum(taken) >= 0
                assert [top_up.amount_nanos for top_up in page.top_ups] == taken[::-1]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("top_up_id", order("", USD)),
        ("top_up_id", order("two words", USD)),
        ("top_up_id", order("x" * 129, USD)),
        ("amount_nanos", order("a", LARGEST_COST_NANOS + 1)),
        ("amount_nanos", order("a", -LARGEST_COST_NANOS - 1)),
        ("note", order("a", USD, note="x" * 257)),
        ("note", order("a", USD, note="a\nb")),
        ("enforcement", order("a", USD, enforcement=Enforcement.SOFT)),
    ],
)
async def test_a_field_that_cannot_be_is_named(balances, field, wrong):
    with pytest.raises(InvalidRequestError) as raised:
        await balances.top_up(wrong)

    assert raised.value.field == field


async def test_what_was_never_topped_up_has_no_balance(balances):
    with pytest.raises(NotFoundError):
        await balances.get(TEAM)
    with pytest.raises(NotFoundError):
        await balances.get(Owner(SubjectKind.KEY, "config/bench"))


async def test_balances_come_by_kind_and_id_of_one_place_or_all(balances):
    for number, (kind, record_id, places) in enumerate(
        [
            (SubjectKind.TEAM, "team_1", {"organization_id": "org_a", "team_id": "team_1"}),
            (SubjectKind.KEY, "key_2", {"organization_id": "org_a"}),
            (SubjectKind.KEY, "key_1", {"organization_id": "org_a", "team_id": "team_1"}),
            (SubjectKind.ORGANIZATION, "org_b", {"organization_id": "org_b"}),
        ]
    ):
        await balances.top_up(order(str(number), USD, Owner(kind, record_id), **places))

    async def names(*place):
        found, token = [], ""
        while True:
            page = await balances.list(*place, 1, token)
            found += [balance.owner.name for balance in page.balances]
            if not (token := page.next_page_token):
                return found

    assert await names("", "") == ["key/key_1", "key/key_2", "organization/org_b", "team/team_1"]
    assert await names("org_a", "") == ["key/key_1", "key/key_2", "team/team_1"]
    assert await names("org_a", "team_1") == ["key/key_1", "team/team_1"]


async def test_top_ups_come_a_page_at_a_time_and_only_of_their_balance(balances):
    other = Owner(SubjectKind.TEAM, "team_2")
    await balances.top_up(order("other", USD, other))
    for number in range(5):
        await balances.top_up(order(str(number), USD))

    ids, token = [], ""
    while True:
        page = await balances.top_ups(TEAM, 2, token)
        ids += [top_up.top_up_id for top_up in page.top_ups]
        if not (token := page.next_page_token):
            break
        with pytest.raises(InvalidRequestError, match="another list"):
            await balances.top_ups(other, 2, token)

    assert ids == ["4", "3", "2", "1", "0"]


class TestPrincipals:
    """What balances allow is told with the keys, and their changes with those of keys."""

    @pytest.fixture
    async def world(self, records):
        directory = records.directory
        acme = await directory.organizations.create(organization())
        within = {"organization_id": acme.id}
        core = await directory.teams.create(team(**within, limits=(TEN_A_MINUTE,)))
        ada = await directory.users.create(user(**within, team_ids=(core.id,)))
        issued = await directory.keys.issue(key(**within, team_id=core.id, user_id=ada.id))
        other = await directory.keys.issue(key("other", **within))
        return {
            SubjectKind.ORGANIZATION: acme.id,
            SubjectKind.TEAM: core.id,
            SubjectKind.USER: ada.id,
            SubjectKind.KEY: issued.key.id,
            "other": other.key.id,
        }

    @pytest.mark.parametrize(
        "kind",
        [SubjectKind.KEY, SubjectKind.USER, SubjectKind.TEAM, SubjectKind.ORGANIZATION],
    )
    async def test_a_balance_is_found_with_the_keys_that_share_it(
        self, records, balances, world, kind
    ):
        seen = (await records.reader.since(None)).latest
        owner = Owner(kind, world[kind])

        await balances.top_up(order("a", 5 * USD, owner, enforcement=Enforcement.STRICT))

        key_id = world[SubjectKind.KEY]
        stored = (await records.lookup.stored_keys(frozenset({key_id})))[key_id]
        allowed = {owner.record_id: limit_of(5 * USD, Enforcement.STRICT)}
        assert stored.scopes.balances == allowed
        assert (await records.lookup.scopes(frozenset({owner.record_id}))).balances == allowed
        changed = (await records.reader.since(seen)).changed
        assert changed is not EVERYTHING_CHANGED
        assert changed >= {owner.record_id, key_id}
        assert (world["other"] in changed) == (kind is SubjectKind.ORGANIZATION)

    async def test_the_enforcement_stays_until_it_is_said_otherwise(self, balances):
        await balances.top_up(order("a", USD, enforcement=Enforcement.STRICT))
        kept, _ = await balances.top_up(order("b", USD))
        changed, _ = await balances.top_up(order("c", 0, enforcement=Enforcement.NORMAL))

        assert (kept.enforcement, changed.enforcement) == (
            Enforcement.STRICT,
            Enforcement.NORMAL,
        )
        assert changed.amount_nanos == 2 * USD

    async def test_a_balance_outlives_the_key_that_it_was_for(self, records, balances, world):
        owner = Owner(SubjectKind.KEY, world["other"])
        await balances.top_up(order("a", USD, owner))

        await records.directory.keys.delete(owner.record_id)

        assert (await balances.get(owner)).amount_nanos == USD


@pytest.mark.parametrize("name", ["", "team", "team/", "model/gpt", "team/a b", "Team/a", "/a"])
def test_what_can_have_no_balance_is_no_owner(name):
    with pytest.raises(GatewayError) as raised:
        Owner.named(name)

    assert raised.value.field == "subject"


@pytest.mark.parametrize(
    "name", ["team/team_1", "key/config/bench", "user/user_1", "organization/default"]
)
def test_an_owner_goes_by_its_name(name):
    assert Owner.named(name).name == name
