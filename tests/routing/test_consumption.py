"""What attempts consumed, and the records of it."""

from typing import Any

import pytest
from msgspec.structs import replace
from routing.metering_values import PRICES, TYPED, asked, at, chain, limit

from meshgate.dialects.neutral import Usage
from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import LARGEST_COST_NANOS
from meshgate.pricing.prices import Prices
from meshgate.routing.consumption import Consumption, Ending, UsageRecords, consumption, is_sensible
from meshgate.routing.principal import Principal
from meshgate.routing.question import Question
from meshgate.v1 import call_context_pb2
from meshgate.v1 import usage_record_pb2 as pb

USAGE = Usage(
    input_tokens=10,
    cached_input_tokens=4,
    cache_creation_input_tokens=1,
    output_tokens=20,
    reasoning_tokens=5,
)
ALICE = Principal(
    "alice",
    False,
    frozenset({"*"}),
    False,
    None,
    key_id="k1",
    user_id="u1",
    team_id="t1",
    organization_id="acme",
    tags={"env": "prod"},
)


def by(principal: Principal) -> Question:
    return replace(asked(b"{}", chain(limit("requests", 1))), principal=principal)


def recorded(question: Question, *consumptions: Consumption, records: Any = None) -> Any:
    """The one record in what is written."""
    written = (records or UsageRecords()).record(
        "h1",
        question,
        consumptions,
        Ending(pb.REQUEST_OUTCOME_ANSWERED, 2, 1_500_000_000, 2_000_000_000),
    )
    (record,) = pb.UsageRecords.FromString(written).records
    return record


class TestConsumption:
    def test_parts_that_were_cached_cost_what_cached_tokens_cost(self) -> None:
        consumed = consumption(at("one"), USAGE)

        assert consumed.cost_nanos == 5 * 1_000 + 4 * 500 + 1 * 1_000 + 20 * 2_000
        assert consumed.amounts == Amounts(0, 10, 20, consumed.cost_nanos)

    def test_without_a_price_it_costs_nothing_known(self) -> None:
        consumed = consumption(at("one", None), USAGE)

        assert consumed.cost_nanos is None
        assert consumed.amounts.cost_nanos == 0

    def test_no_cost_is_more_than_can_be_counted(self) -> None:
        dearest = Prices(10**15, 10**15, 10**15, 10**15)

        consumed = consumption(at("one", dearest), Usage(output_tokens=2**31 - 1))

        assert consumed.cost_nanos == LARGEST_COST_NANOS

    def test_a_usage_is_sensible_if_nothing_in_it_is_below_nothing(self) -> None:
        assert is_sensible(USAGE)
        assert is_sensible(Usage())

    @pytest.mark.parametrize("field", Usage.__struct_fields__[:-1])
    def test_and_not_if_anything_is(self, field: str) -> None:
        assert not is_sensible(replace(USAGE, **{field: -1}))


class TestRecords:
    def test_a_record_says_who_asked_for_what(self) -> None:
        record = recorded(by(ALICE))

        assert (record.principal_id, record.key_id, record.user_id) == ("alice", "k1", "u1")
        assert (record.team_id, record.organization_id) == ("t1", "acme")
        assert dict(record.tags) == {"env": "prod"}
        assert (record.model, record.dialect) == ("m", "openai_chat")
        assert (record.hold_id, record.request_id) == ("h1", "r-1")
        assert record.origin == call_context_pb2.ORIGIN_REQUEST
        assert record.config_revision == "r1"
        assert (record.outcome, record.attempt_count) == (pb.REQUEST_OUTCOME_ANSWERED, 2)

    def test_it_says_from_when_until_when(self) -> None:
        record = recorded(by(ALICE))

        assert (record.start_time.seconds, record.start_time.nanos) == (1, 500_000_000)
        assert record.end_time.seconds == 2

    def test_it_names_the_dialect(self) -> None:
        assert recorded(replace(by(ALICE), dialect=TYPED)).dialect == "meshgate_chat"

    def test_each_attempt_that_cost_something_is_a_charge(self) -> None:
        one = consumption(at("one"), USAGE, "m-2026")
        two = consumption(at("two", None), USAGE, is_estimated=True)

        first, second = recorded(by(ALICE), one, two).charges

        assert (first.provider, first.model, first.served_model) == ("one", "m-at-one", "m-2026")
        assert first.cost_nanos == one.cost_nanos
        assert first.price_version == PRICES.version
        assert not first.estimated
        assert second.estimated
        assert second.price_version == ""

    def test_a_charge_has_all_of_the_usage(self) -> None:
        (charge,) = recorded(by(ALICE), consumption(at("one"), USAGE)).charges

        usage = charge.usage
        assert (usage.input_tokens, usage.output_tokens) == (10, 20)
        assert (usage.cached_input_tokens, usage.cache_creation_input_tokens) == (4, 1)
        assert usage.reasoning_tokens == 5

    def test_records_of_one_principal_do_not_mix(self) -> None:
        records = UsageRecords()
        recorded(by(ALICE), consumption(at("one"), USAGE), records=records)

        assert len(recorded(by(ALICE), records=records).charges) == 0

    def test_a_principal_that_has_changed_is_written_anew(self) -> None:
        records = UsageRecords()
        recorded(by(ALICE), records=records)
        moved = Principal("alice", False, frozenset(), False, None, team_id="t2")

        assert recorded(by(moved), records=records).team_id == "t2"

    def test_records_can_be_put_together_by_putting_one_behind_the_other(self) -> None:
        records = UsageRecords()
        written = [
            records.record(hold_id, by(ALICE), (), Ending(pb.REQUEST_OUTCOME_FAILED, 0, 0, 0))
            for hold_id in ("h1", "h2")
        ]

        both = pb.UsageRecords.FromString(b"".join(written)).records

        assert [record.hold_id for record in both] == ["h1", "h2"]
