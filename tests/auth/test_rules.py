from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from auth.opened_records import ONE_AT_A_TIME, TEN_A_MINUTE, key, organization, team, user

from meshgate.auth.rules import (
    check_text,
    checked_key,
    checked_organization,
    checked_team,
    checked_user,
)
from meshgate.limits.limit import Enforcement, Limit, LimitKind, WindowUnit
from meshgate.runtime.errors import InvalidRequestError

WRONG_TEAMS = {
    "name": ["", " ", " a", "a ", "a\nb", "a\0", "x" * 129, "\ud800", "\x85"],
    "tags": [{"": "x"}, {"a b": "x"}, {"a=b": "x"}, {"a": "\0"}, {"a": "x" * 257}, {"a*": "x"}],
    "limits": [(ONE_AT_A_TIME,) * 2, tuple(Limit(LimitKind.REQUESTS, n) for n in range(17))],
}
WRONG_USERS = {
    "email": ["ada", "ada@", "@example.com", "a da@example.com", "ada@example.com" + "x" * 250],
    "roles": [("",), ("Admin",), ("a b",), tuple(f"r{n}" for n in range(17))],
    "team_ids": [tuple(f"team_{n}" for n in range(101))],
}
WRONG_KEYS = {
    "allowed_models": [("",), ("a b",), ("x" * 201,), tuple(f"m{n}" for n in range(501))],
    "allowed_networks": [("",), ("10.0.0.1/8",), ("10.0.0.0/33",), ("nonsense",), ("::/129",)],
    "expire_time": [datetime(2027, 1, 1)],  # noqa: DTZ001 - what is wrong with it
}
WRONG_ORGANIZATIONS = {
    "model_groups": [{"": ("m",)}, {"a:b": ("m",)}, {"a": ("",)}, {"a": ("group:b",)}],
}


@pytest.mark.parametrize(
    ("check", "record", "field", "value"),
    [
        (check, record, field, value)
        for check, record, wrong in [
            (checked_team, team(), WRONG_TEAMS),
            (checked_user, user(), WRONG_TEAMS | WRONG_USERS),
            (checked_key, key(), WRONG_TEAMS | WRONG_KEYS),
            (checked_organization, organization(), WRONG_TEAMS | WRONG_ORGANIZATIONS),
        ]
        for field, values in wrong.items()
        for value in values
    ],
)
def test_a_field_that_cannot_be_is_refused_and_named(check, record, field, value):
    with pytest.raises(InvalidRequestError) as caught:
        check(replace(record, **{field: value}))

    assert caught.value.field == field
    assert len(caught.value.message) < 400
    assert caught.value.message.encode()


@pytest.mark.parametrize("name", ["a", "Ünïcödé", "two words", "a/b:c", "x" * 128, "日本"])
def test_names_are_what_people_write(name):
    assert checked_team(team(name)).name == name


def test_limits_that_differ_may_stand_together():
    limits = (
        TEN_A_MINUTE,
        ONE_AT_A_TIME,
        Limit.of(LimitKind.REQUESTS, 10, WindowUnit.DAY),
        Limit.of(LimitKind.REQUESTS, 8, WindowUnit.MINUTE, enforcement=Enforcement.SOFT),
    )

    assert checked_team(team(limits=limits)).limits == limits


def test_what_is_said_twice_is_kept_once():
    checked = checked_key(
        key(allowed_models=("m", "m"), allowed_networks=("10.0.0.0/8", " 10.0.0.0/8 "), roles=())
    )

    assert checked.allowed_models == ("m",)
    assert checked.allowed_networks == ("10.0.0.0/8",)


def test_times_are_kept_in_utc():
    zone = timezone(timedelta(hours=2))

    checked = checked_key(key(expire_time=datetime(2027, 1, 1, 2, tzinfo=zone)))

    assert checked.expire_time == datetime(2027, 1, 1, tzinfo=UTC)
    assert checked.expire_time.tzinfo is UTC


@pytest.mark.parametrize("text", ["\0", "\ud800", "x" * 129, "a\nb"])
def test_what_no_record_can_hold_is_not_looked_for(text):
    with pytest.raises(InvalidRequestError):
        check_text("name_prefix", text)
