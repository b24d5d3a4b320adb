"""Limits: which there can be, and how they travel."""

import pytest

from meshgate.limits.limit import (
    LARGEST_AMOUNT,
    LARGEST_COST_NANOS,
    Enforcement,
    ImpossibleLimitError,
    Limit,
    LimitKind,
    Subject,
    SubjectKind,
    WindowMode,
    WindowUnit,
)
from meshgate.limits.messages import (
    UnknownWordError,
    limit_message,
    limit_of,
    subject_message,
    subject_of,
)
from meshgate.v1 import limit_pb2 as pb

REQUESTS, COST, PLACES = LimitKind.REQUESTS, LimitKind.COST, LimitKind.CONCURRENCY


class TestMaking:
    @pytest.mark.parametrize("unit", [WindowUnit.SECOND, WindowUnit.MINUTE, WindowUnit.HOUR])
    def test_short_windows_roll(self, unit: WindowUnit) -> None:
        assert Limit.of(REQUESTS, 1, unit).mode is WindowMode.ROLLING

    @pytest.mark.parametrize("unit", [WindowUnit.DAY, WindowUnit.WEEK, WindowUnit.MONTH])
    def test_long_windows_follow_the_calendar(self, unit: WindowUnit) -> None:
        limit = Limit.of(REQUESTS, 1, unit)

        assert (limit.mode, limit.time_zone) == (WindowMode.CALENDAR, "UTC")

    def test_a_total_has_no_windows(self) -> None:
        assert Limit.of(COST, 1, WindowUnit.TOTAL).mode is None

    def test_concurrency_has_no_window(self) -> None:
        assert Limit.of(PLACES, 1).name == "concurrency"

    def test_a_limit_is_called_by_what_it_counts_per_what(self) -> None:
        assert Limit.of(REQUESTS, 1, WindowUnit.MINUTE).name == "requests/minute"

    def test_nothing_may_be_allowed(self) -> None:
        assert Limit.of(REQUESTS, 0, WindowUnit.DAY).amount == 0


class TestImpossibleOnes:
    @pytest.mark.parametrize(
        ("arguments", "field"),
        [
            ((REQUESTS, -1, WindowUnit.DAY), "amount"),
            ((REQUESTS, LARGEST_AMOUNT + 1, WindowUnit.DAY), "amount"),
            ((COST, LARGEST_COST_NANOS + 1, WindowUnit.DAY), "amount"),
            ((REQUESTS, 1), "unit"),
            ((PLACES, 1, WindowUnit.DAY), "unit"),
            ((PLACES, 1, None, WindowMode.ROLLING), "mode"),
            ((REQUESTS, 1, WindowUnit.TOTAL, WindowMode.CALENDAR), "mode"),
            ((REQUESTS, 1, WindowUnit.TOTAL, None, "UTC"), "time_zone"),
            ((REQUESTS, 1, WindowUnit.MINUTE, None, "UTC"), "time_zone"),
            ((REQUESTS, 1, WindowUnit.DAY, None, "Mars/Olympus"), "time_zone"),
            ((REQUESTS, 1, WindowUnit.DAY, None, "../../etc/passwd"), "time_zone"),
        ],
    )
    def test_there_can_be_none_and_the_error_names_the_field(
        self, arguments: tuple[object, ...], field: str
    ) -> None:
        with pytest.raises(ImpossibleLimitError) as caught:
            Limit.of(*arguments)  # type: ignore[arg-type]

        assert caught.value.field == field


class TestMessages:
    @pytest.mark.parametrize(
        "limit",
        [
            Limit.of(PLACES, 5),
            Limit.of(REQUESTS, 5, WindowUnit.MINUTE, enforcement=Enforcement.STRICT),
            Limit.of(COST, 5, WindowUnit.MONTH, time_zone="Europe/Berlin"),
            Limit.of(COST, 5, WindowUnit.TOTAL, enforcement=Enforcement.SOFT),
        ],
    )
    def test_a_limit_comes_back_as_it_went(self, limit: Limit) -> None:
        assert limit_of(limit_message(limit)) == limit

    @pytest.mark.parametrize("kind", SubjectKind)
    def test_so_does_a_subject(self, kind: SubjectKind) -> None:
        subject = Subject(kind, "x", (Limit.of(REQUESTS, 1, WindowUnit.DAY),))

        assert subject_of(subject_message(subject)) == subject

    def test_what_is_not_known_here_is_refused(self) -> None:
        with pytest.raises(UnknownWordError):
            limit_of(pb.Limit(kind=99, amount=1))  # type: ignore[arg-type]
        with pytest.raises(UnknownWordError):
            limit_of(pb.Limit(kind=pb.LIMIT_KIND_REQUESTS, unit=99))  # type: ignore[arg-type]
        with pytest.raises(UnknownWordError):
            subject_of(pb.Subject(kind=99))  # type: ignore[arg-type]

    def test_an_enforcement_that_is_not_known_is_the_normal_one(self) -> None:
        message = limit_message(Limit.of(PLACES, 5))
        message.enforcement = 99  # type: ignore[assignment]

        assert limit_of(message).enforcement is Enforcement.NORMAL

    def test_everyone_has_no_id(self) -> None:
        assert Subject(SubjectKind.EVERYONE, "").name == "everyone"
        assert Subject(SubjectKind.KEY, "k1").name == "key/k1"
