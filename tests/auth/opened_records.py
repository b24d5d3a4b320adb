"""What tests of the records of auth begin with."""

from datetime import UTC, datetime, timedelta

from meshgate.auth.credentials import Peppers
from meshgate.auth.records import Key, Organization, Team, User
from meshgate.limits.limit import Limit, LimitKind, WindowUnit

PEPPER = "a pepper that is long enough"
PEPPERS = Peppers(PEPPER)
NOW = datetime(2027, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
TEN_A_MINUTE = Limit.of(LimitKind.REQUESTS, 10, WindowUnit.MINUTE)
ONE_AT_A_TIME = Limit.of(LimitKind.CONCURRENCY, 1)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **duration: float) -> None:
        self.time += timedelta(**duration)


def organization(name: str = "acme", **fields) -> Organization:
    return Organization(name=name, **fields)


def team(name: str = "core", **fields) -> Team:
    return Team(name=name, **fields)


def user(name: str = "ada", **fields) -> User:
    return User(name=name, **fields)


def key(name: str = "bench", **fields) -> Key:
    return Key(name=name, **fields)
