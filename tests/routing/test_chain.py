"""Chains: whose limits are counted together, and what they count."""

from routing.metering_values import chain, limit

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import LARGEST_AMOUNT, Limit, LimitKind, Subject, SubjectKind, WindowUnit
from meshgate.routing.chain import Chain, chains_of, wide_chain

ALL = Amounts(1, 10, 20, 30, 1)


class TestCounting:
    def test_only_what_has_a_limit_is_counted(self) -> None:
        assert chain(limit("requests", 1)).use_of(ALL) == Amounts(requests=1)
        assert chain(limit("cost", 1)).use_of(ALL) == Amounts(cost_nanos=30)

    def test_a_limit_on_tokens_of_either_kind_counts_both(self) -> None:
        for kind in ("tokens", "input_tokens", "output_tokens"):
            assert chain(limit(kind, 1)).use_of(ALL) == Amounts(0, 10, 20)

    def test_places_belong_to_no_window(self) -> None:
        mine = chain(limit("concurrency", 1))

        assert mine.counts_places
        assert not mine.counts_use
        assert mine.use_of(ALL) == Amounts()

    def test_the_subjects_of_windows_and_of_places_are_held_apart(self) -> None:
        mine = chain(limit("requests", 1), limit("concurrency", 2))

        assert [limit.name for limit in mine.use_subjects[0].limits] == ["requests/minute"]
        assert [limit.name for limit in mine.place_subjects[0].limits] == ["concurrency"]

    def test_who_has_no_limits_is_left_out(self) -> None:
        nobody = Subject(SubjectKind.USER, "u1")

        assert Chain("acme", [nobody]).subjects == ()

    def test_limits_of_requests_do_not_grow_with_the_answer(self) -> None:
        assert not chain(limit("requests", 1), limit("input_tokens", 1)).counts_output
        assert chain(limit("cost", 1)).counts_output


class TestBounds:
    def test_the_smallest_limit_bounds_what_may_be_written(self) -> None:
        mine = chain(limit("tokens", 100), limit("output_tokens", 60))

        assert mine.most_output(10) == 60
        assert mine.most_output(70) == 30
        assert mine.most_output(200) == 0

    def test_of_several_windows_the_smallest_amount_bounds(self) -> None:
        hour = Limit.of(LimitKind.COST, 7, WindowUnit.HOUR)

        assert chain(limit("cost", 9), hour).most_cost == 7

    def test_a_soft_limit_bounds_nothing(self) -> None:
        mine = chain(limit("tokens", 1, "soft"), limit("cost", 1, "soft"))

        assert mine.most_output(5) == LARGEST_AMOUNT - 5
        assert mine.most_cost == LARGEST_AMOUNT

    def test_strict_is_who_counts_tokens_or_money_strictly(self) -> None:
        assert chain(limit("cost", 1, "strict")).is_strict
        assert not chain(limit("cost", 1)).is_strict
        assert not chain(limit("requests", 1, "strict"), limit("tokens", 1)).is_strict


class TestIdentity:
    def test_equal_chains_have_the_same(self) -> None:
        assert chain(limit("cost", 1)).identity == chain(limit("cost", 1)).identity

    def test_other_limits_or_partitions_have_another(self) -> None:
        mine = chain(limit("cost", 1))

        assert mine.identity != chain(limit("cost", 2)).identity
        assert mine.identity != chain(limit("cost", 1), partition="other").identity


class TestMaking:
    def test_what_all_share_is_counted_apart_from_an_organization(self) -> None:
        limits = (limit("requests", 1),)
        subjects = [
            Subject(SubjectKind.KEY, "k1", limits),
            Subject(SubjectKind.EVERYONE, "", limits),
        ]

        chains = chains_of("acme", subjects)

        assert [one.partition for one in chains] == ["acme", "everyone"]

    def test_without_limits_there_is_no_chain(self) -> None:
        assert chains_of("acme", [Subject(SubjectKind.KEY, "k1")]) == ()
        assert wide_chain(SubjectKind.MODEL, "m", ()) is None

    def test_a_model_is_counted_by_itself(self) -> None:
        found = wide_chain(SubjectKind.MODEL, "m", (limit("requests", 1),))

        assert found is not None
        assert found.partition == "model/m"
