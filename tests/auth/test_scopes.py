from auth.opened_records import ONE_AT_A_TIME, TEN_A_MINUTE

from meshgate.auth.records import Key
from meshgate.auth.scopes import NO_SCOPES, Scopes, subjects_of
from meshgate.config.snapshot import LimitsOptions
from meshgate.limits.limit import Enforcement, Limit, LimitKind, Subject, SubjectKind, WindowUnit

TOKENS = Limit.of(LimitKind.TOKENS, 1_000, WindowUnit.DAY)
SOFT = Limit.of(LimitKind.REQUESTS, 5, WindowUnit.DAY, enforcement=Enforcement.SOFT)


def belonging(limits=(), tags=None):
    return Key(
        key_id="key_a",
        user_id="user_a",
        team_id="team_a",
        organization_id="org_a",
        name="a",
        limits=limits,
        tags=tags or {},
    )


def test_subjects_come_narrowest_first():
    scopes = Scopes(
        limits={"user_a": (TOKENS,), "team_a": (ONE_AT_A_TIME,), "org_a": (TEN_A_MINUTE,)}
    )
    options = LimitsOptions(shared=(ONE_AT_A_TIME,), tags={"env=test": (TOKENS,)})

    subjects = subjects_of(belonging((TEN_A_MINUTE,), {"env": "test", "a": "b"}), scopes, options)

    assert subjects == (
        Subject(SubjectKind.KEY, "key_a", (TEN_A_MINUTE,)),
        Subject(SubjectKind.USER, "user_a", (TOKENS,)),
        Subject(SubjectKind.TEAM, "team_a", (ONE_AT_A_TIME,)),
        Subject(SubjectKind.ORGANIZATION, "org_a", (TEN_A_MINUTE,)),
        Subject(SubjectKind.TAG, "env=test", (TOKENS,)),
        Subject(SubjectKind.EVERYONE, "", (ONE_AT_A_TIME,)),
    )


def test_what_has_no_limits_is_no_subject():
    assert subjects_of(belonging(), NO_SCOPES, LimitsOptions()) == ()


def test_default_limits_hold_in_the_kinds_that_the_key_does_not_state():
    options = LimitsOptions(default=(TOKENS, Limit.of(LimitKind.REQUESTS, 1, WindowUnit.DAY)))

    [subject] = subjects_of(belonging((TEN_A_MINUTE,)), NO_SCOPES, options)

    assert subject.limits == (TEN_A_MINUTE, TOKENS)


def test_a_soft_limit_does_not_take_the_place_of_a_default_one():
    options = LimitsOptions(default=(TEN_A_MINUTE,))

    [subject] = subjects_of(belonging((SOFT,)), NO_SCOPES, options)

    assert subject.limits == (SOFT, TEN_A_MINUTE)
