"""BalanceService over every binding: what is answered, and who reaches what."""

from datetime import UTC

import pytest
from auth.administering import NOW, Api, Callers, Clock, administering
from auth.configuration import key as configured_key
from auth.configuration import snapshot
from auth.world import World
from bindings import BINDINGS

from meshgate.auth.admin_api import admin_api
from meshgate.config.source import FixedSource
from meshgate.v1 import balance_service_pb2 as pb
from meshgate.v1 import limit_pb2

USD = 10**9


@pytest.fixture(params=BINDINGS)
async def world(request, tmp_path):
    declared = snapshot(configured_key("bench"))
    async with administering(request.param, tmp_path, declared) as api:
        world = World(api)
        await world.fill()
        yield world


def topping_up(subject, top_up_id="a", amount_nanos=5 * USD, **fields):
    return pb.TopUpBalanceRequest(
        subject=subject, top_up_id=top_up_id, amount_nanos=amount_nanos, **fields
    )


async def test_a_top_up_answers_with_the_balance_and_itself(world):
    subject = f"team/{world.ids['core']}"

    made = await world.call("root", "TopUpBalance", topping_up(subject, note="invoice 7"))

    got = await world.call("root", "GetBalance", pb.GetBalanceRequest(subject=subject))
    assert made.balance == got.balance
    assert (got.balance.subject, got.balance.amount_nanos) == (subject, 5 * USD)
    assert got.balance.organization_id == world.ids["acme"]
    assert got.balance.team_id == world.ids["core"]
    assert got.balance.enforcement == limit_pb2.ENFORCEMENT_NORMAL
    assert (made.top_up.id, made.top_up.note) == ("a", "invoice 7")
    assert (made.top_up.creator_id, made.top_up.balance_nanos) == ("admin", 5 * USD)
    assert made.top_up.create_time.ToDatetime(UTC) == NOW
    listed = await world.call("root", "ListTopUps", pb.ListTopUpsRequest(subject=subject))
    assert list(listed.top_ups) == [made.top_up]


async def test_a_top_up_says_whether_the_balance_is_strict(world):
    subject = f"key/{world.ids['k-core']}"
    strict = limit_pb2.ENFORCEMENT_STRICT

    made = await world.call("root", "TopUpBalance", topping_up(subject, enforcement=strict))

    assert made.balance.enforcement == strict
    for word in (limit_pb2.ENFORCEMENT_SOFT, 77):
        error = await world.api.refused("TopUpBalance", topping_up(subject, "b", enforcement=word))
        assert error.field == "enforcement"


@pytest.mark.parametrize(
    "subject", ["team/team_none", "key/key_none", "key/config/none", "user/x", "organization/x"]
)
async def test_what_is_not_there_is_topped_up_by_nobody(world, subject):
    error = await world.api.refused("TopUpBalance", topping_up(subject))

    assert error.reason == "ERROR_REASON_NOT_FOUND"


@pytest.mark.parametrize("subject", ["key/config/bench", "organization/default"])
async def test_what_is_in_the_configuration_or_always_there_has_a_balance_too(world, subject):
    await world.call("root", "TopUpBalance", topping_up(subject))

    got = await world.call("root", "GetBalance", pb.GetBalanceRequest(subject=subject))

    assert (got.balance.subject, got.balance.organization_id) == (subject, "default")


async def test_what_can_have_no_balance_is_no_subject(world):
    for rpc, request in (
        ("TopUpBalance", topping_up("model/gpt")),
        ("GetBalance", pb.GetBalanceRequest()),
        ("ListTopUps", pb.ListTopUpsRequest(subject="nobody")),
    ):
        assert (await world.api.refused(rpc, request)).field == "subject"


@pytest.mark.parametrize("caller", ["org-admin", "team-admin", "viewer", "nobody"])
async def test_nobody_but_an_admin_tops_up(world, caller):
    subject = f"team/{world.ids['core']}"

    refused = await world.refused(caller, "TopUpBalance", topping_up(subject))

    assert refused == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("caller", "reached"),
    [
        ("root", {"acme", "core", "web", "k-core", "k-acme", "ada", "evil", "k-evil"}),
        ("org-admin", {"acme", "core", "web", "k-core", "k-acme", "ada"}),
        ("viewer", {"acme", "core", "web", "k-core", "k-acme", "ada"}),
        ("team-admin", {"core", "k-core"}),
    ],
)
async def test_balances_are_read_as_far_as_the_caller_reaches(world, caller, reached):
    kinds = {"acme": "organization", "evil": "organization", "ada": "user"}
    kinds |= {"core": "team", "web": "team"}
    names = ("acme", "core", "web", "k-core", "k-acme", "ada", "evil", "k-evil")
    subjects = {name: f"{kinds.get(name, 'key')}/{world.ids[name]}" for name in names}
    for name, subject in subjects.items():
        await world.call("root", "TopUpBalance", topping_up(subject, top_up_id=name))

    listed = await world.call(caller, "ListBalances", pb.ListBalancesRequest())

    assert {balance.subject for balance in listed.balances} == {subjects[n] for n in reached}
    for name, subject in subjects.items():
        for rpc, request in (
            ("GetBalance", pb.GetBalanceRequest(subject=subject)),
            ("ListTopUps", pb.ListTopUpsRequest(subject=subject)),
        ):
            if name in reached:
                await world.call(caller, rpc, request)
            else:
                assert await world.refused(caller, rpc, request) == "NOT_FOUND"


async def test_a_list_of_another_place_is_refused(world):
    elsewhere = pb.ListBalancesRequest(organization_id=world.ids["evil"])

    assert await world.refused("viewer", "ListBalances", elsewhere) == "PERMISSION_DENIED"
    assert await world.refused("nobody", "ListBalances", pb.ListBalancesRequest()) == (
        "PERMISSION_DENIED"
    )


async def test_pages_follow_each_other(world):
    for number, name in enumerate(("core", "web")):
        await world.call("root", "TopUpBalance", topping_up(f"team/{world.ids[name]}", str(number)))

    first = await world.call("root", "ListBalances", pb.ListBalancesRequest(page_size=1))
    asked = pb.ListBalancesRequest(page_size=1, page_token=first.next_page_token)
    second = await world.call("root", "ListBalances", asked)

    assert first.balances[0].subject < second.balances[0].subject
    assert second.next_page_token == ""
    asked = pb.ListTopUpsRequest(
        subject=first.balances[0].subject, page_token=first.next_page_token
    )
    assert (await world.api.refused("ListTopUps", asked)).field == "page_token"


async def test_without_a_database_there_are_no_balances():
    callers = Callers()
    served = admin_api(None, FixedSource(snapshot(configured_key("bench"))), callers, Clock())
    async with BINDINGS["in-process"](served) as channel:
        api = Api(channel, callers, None, Clock())
        listed = await api.call("ListBalances", pb.ListBalancesRequest())
        topped_up = await api.refused("TopUpBalance", topping_up("key/config/bench"))
        got = await api.refused("GetBalance", pb.GetBalanceRequest(subject="key/config/bench"))

    assert not listed.balances
    assert topped_up.reason == "ERROR_REASON_FAILED_PRECONDITION"
    assert "set AUTH_DATABASE_URL" in topped_up.message
    assert got.reason == "ERROR_REASON_NOT_FOUND"
