"""What the fields of a key may not be: each refusal names the field by its path."""

from datetime import UTC, datetime

import pytest
from auth.administering import administering

from meshgate.v1 import key_service_pb2 as pb
from meshgate.v1 import limit_pb2


@pytest.fixture
async def api(tmp_path):
    async with administering("in-process", tmp_path) as api:
        yield api


def limit(**fields):
    known = {
        "kind": limit_pb2.LIMIT_KIND_REQUESTS,
        "amount": 600,
        "unit": limit_pb2.WINDOW_UNIT_MINUTE,
    }
    return limit_pb2.Limit(**(known | fields))


KIND, UNIT, MODE = limit_pb2.LimitKind, limit_pb2.WindowUnit, limit_pb2.WindowMode


@pytest.mark.parametrize(
    ("impossible", "name"),
    [
        (limit(amount=-1), "amount"),
        (limit(amount=2**53), "amount"),
        (limit(amount=2**63 - 1), "amount"),
        (limit(kind=KIND.LIMIT_KIND_COST, amount=9_000_001 * 10**9), "amount"),
        (limit(kind=0), "kind"),
        (limit(kind=77), "kind"),
        (limit(unit=0), "unit"),
        (limit(unit=77), "unit"),
        (limit(mode=77), "mode"),
        (limit(enforcement=77), "enforcement"),
        (limit(time_zone="Europe/Berlin"), "time_zone"),
        (limit(unit=UNIT.WINDOW_UNIT_DAY, time_zone="Middle-earth/Shire"), "time_zone"),
        (limit(unit=UNIT.WINDOW_UNIT_DAY, time_zone="../../etc/passwd"), "time_zone"),
        (limit(kind=KIND.LIMIT_KIND_CONCURRENCY), "unit"),
        (limit(unit=UNIT.WINDOW_UNIT_TOTAL, mode=MODE.WINDOW_MODE_ROLLING), "mode"),
    ],
)
async def test_an_impossible_limit_is_named_by_its_path(api, impossible, name):
    asked = pb.Key(name="ci", limits=[limit(), limit(unit=UNIT.WINDOW_UNIT_HOUR), impossible])

    error = await api.refused("CreateKey", pb.CreateKeyRequest(key=asked))

    assert (error.reason, error.field) == (
        "ERROR_REASON_INVALID_REQUEST",
        f"key.limits[2].{name}",
    )


def timed(**fields):
    key = pb.Key(name="ci")
    key.expire_time.MergeFrom(type(key.expire_time)(**fields))
    return key


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (pb.Key(), "name"),
        (pb.Key(name="x" * 1_000), "name"),
        (pb.Key(name="a\x00b"), "name"),
        (pb.Key(name="ci", roles=["sorcerer"]), "roles"),
        (pb.Key(name="ci", allowed_networks=["10.0.0.0/99"]), "allowed_networks"),
        (pb.Key(name="ci", allowed_models=["a b"]), "allowed_models"),
        (pb.Key(name="ci", allowed_models=["group:nobody"]), "allowed_models"),
        (pb.Key(name="ci", tags={"": "x"}), "tags"),
        (pb.Key(name="ci", tags={str(number): "" for number in range(10_000)}), "tags"),
        (pb.Key(name="ci", limits=[limit(), limit(amount=7)]), "limits"),
        (pb.Key(name="ci", limits=[limit()] * 10_000), "limits"),
        (pb.Key(name="ci", organization_id="org_nobody"), "organization_id"),
        (pb.Key(name="ci", team_id="team_nobody"), "team_id"),
        (pb.Key(name="ci", user_id="user_nobody"), "user_id"),
        (timed(seconds=2**62), "expire_time"),
        (timed(seconds=-(2**62)), "expire_time"),
        (timed(seconds=int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())), "expire_time"),
    ],
)
async def test_a_field_that_cannot_be_is_named_by_its_path(api, asked, name):
    error = await api.refused("CreateKey", pb.CreateKeyRequest(key=asked))

    assert error.http_status in (400, 404)
    assert error.field == f"key.{name}"


async def test_without_a_key_there_is_nothing_to_create(api):
    assert (await api.refused("CreateKey", pb.CreateKeyRequest())).field == "key.name"
