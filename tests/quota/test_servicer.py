import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from quota.model import ModelStore, Recorder
from quota.worlds import BEGINNING, ManualClock

from meshgate.limits.limit import LARGEST_AMOUNT
from meshgate.quota.servicer import QuotaServicer
from meshgate.runtime.errors import InvalidRequestError, ServiceUnavailableError
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.interception import intercepted
from meshgate.runtime.service import Implementation
from meshgate.runtime.status import error_of, error_of_call
from meshgate.v1 import limit_pb2 as limits
from meshgate.v1 import quota_service_pb2 as pb
from meshgate.v1.quota_service_pb2_grpc import QuotaServiceStub
from meshgate.v1.usage_record_pb2 import UsageRecord, UsageRecords

SERVICE = pb.DESCRIPTOR.services_by_name["QuotaService"]
ONE = limits.Amounts(requests=1)


def subject(amount=5, kind=limits.LIMIT_KIND_REQUESTS, unit=limits.WINDOW_UNIT_MINUTE, **more):
    limit = limits.Limit(kind=kind, amount=amount, unit=unit, **more)
    return limits.Subject(kind=limits.SUBJECT_KIND_KEY, id="k", limits=[limit])


def hold(grant_id="g", **fields):
    fields = {"partition": "acme", "subjects": [subject()], "amounts": ONE} | fields
    return pb.HoldItem(grant_id=grant_id, **fields)


def grant_settlement(*settlements, **fields):
    fields = {"grant_id": "g", "partition": "acme", "subjects": [subject()]} | fields
    return pb.GrantSettlement(settlements=settlements, **fields)


class Away(ModelStore):
    """Does not answer."""

    async def hold(self, items, deadline):
        raise ServiceUnavailableError("the store is away", retry_after_seconds=1)


def stub_of(store):
    servicer = QuotaServicer(store, hold_seconds=1.0, settle_seconds=1.0)
    methods = intercepted(Implementation(SERVICE, servicer), MeshIdentity(None))
    return QuotaServiceStub(InProcessChannel(methods, ()))


@pytest.fixture
def store():
    return ModelStore(ManualClock(), Recorder())


@pytest.fixture
def stub(store):
    return stub_of(store)


async def refusal_of(stub, item):
    """The error of one hold; that of a good one beside it is no error."""
    response = await stub.BatchHold(pb.BatchHoldRequest(items=[item, hold("good")]))
    assert response.results[1].WhichOneof("outcome") == "grant"
    return error_of(response.results[0].refusal, "quota")


async def test_a_grant_says_what_is_held_since_when_and_how_the_limit_stands(stub):
    response = await stub.BatchHold(pb.BatchHoldRequest(items=[hold()]))

    grant = response.results[0].grant
    assert grant.amounts == ONE
    assert grant.grant_time == Timestamp(seconds=BEGINNING // 1_000)
    assert not grant.HasField("lease")
    (state,) = grant.states
    assert (state.subject.kind, state.subject.id) == (limits.SUBJECT_KIND_KEY, "k")
    assert not state.subject.limits
    assert (state.limit.amount, state.remaining, state.reset) == (5, 4, Duration(seconds=65))


async def test_a_lease_says_for_how_long(stub):
    item = pb.LeaseItem(
        grant_id="l", partition="acme", subjects=[subject(6_400)], unit=ONE, unit_count=9
    )

    response = await stub.BatchLease(pb.BatchLeaseRequest(items=[item]))

    grant = response.results[0].grant
    assert (grant.amounts.requests, grant.lease) == (9, Duration(seconds=2))


async def test_a_refusal_names_the_limit_and_carries_every_value(stub):
    error = await refusal_of(stub, hold(amounts=limits.Amounts(requests=6)))

    assert error.reason == "ERROR_REASON_LIMIT_EXCEEDED"
    assert error.message == "the limit of 5 requests/minute of key/k is less than the 6 needed"
    assert error.values == {
        "limit": "requests/minute",
        "subject": "key/k",
        "amount": "5",
        "remaining": "5",
        "requested": "6",
    }
    assert error.retry_after_seconds == 60


async def test_a_limit_that_is_reached_says_how_much_is_left_in_its_own_terms(stub):
    money = subject(2_500_000_000, limits.LIMIT_KIND_COST, limits.WINDOW_UNIT_DAY)
    used = limits.Amounts(cost_nanos=1_000_000_000)
    items = [hold(f"g{n}", subjects=[money], amounts=used) for n in range(3)]

    response = await stub.BatchHold(pb.BatchHoldRequest(items=items))

    assert error_of(response.results[2].refusal, "quota").message == (
        "the limit of 2.5 USD/day of key/k is reached: 0.5 USD left, 1 USD needed"
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"grant_id": ""}, "grant_id"),
        ({"grant_id": "x" * 65}, "grant_id"),
        ({"partition": ""}, "partition"),
        ({"partition": "x" * 257}, "partition"),
        ({"subjects": [subject()] * 65}, "subjects"),
        ({"subjects": [limits.Subject(id="k")]}, "subjects"),
        ({"subjects": [subject(-1)]}, "subjects"),
        ({"subjects": [subject(2**53)]}, "subjects"),
        ({"subjects": [subject(kind=limits.LIMIT_KIND_UNSPECIFIED)]}, "subjects"),
        ({"subjects": [subject(unit=limits.WINDOW_UNIT_UNSPECIFIED)]}, "subjects"),
        ({"subjects": [subject(kind=limits.LIMIT_KIND_CONCURRENCY)]}, "subjects"),
        (
            {"subjects": [subject(unit=limits.WINDOW_UNIT_DAY, time_zone="Mars/Olympus")]},
            "subjects",
        ),
        (
            {
                "subjects": [
                    limits.Subject(kind=1, id="k", limits=[subject().limits[0] for _ in range(34)])
                ]
            },
            "subjects",
        ),
        ({"subjects": [limits.Subject(kind=1, id="x" * 1_025)]}, "subjects"),
        ({"amounts": limits.Amounts(requests=-1)}, "amounts"),
        ({"amounts": limits.Amounts(cost_nanos=2**53)}, "amounts"),
        ({"amounts": limits.Amounts(input_tokens=2**52, output_tokens=2**52)}, "amounts"),
        ({"ttl": Duration(seconds=3_601)}, "ttl"),
        ({"ttl": Duration(seconds=-1)}, "ttl"),
        ({"ttl": Duration()}, "ttl"),
    ],
)
async def test_an_item_that_cannot_be_is_refused_alone(stub, fields, field):
    error = await refusal_of(stub, hold(**fields))

    assert isinstance(error, InvalidRequestError)
    assert error.field == field


async def test_a_lease_of_less_than_no_units_is_refused(stub):
    item = pb.LeaseItem(grant_id="l", partition="acme", unit=ONE, unit_count=-1)

    response = await stub.BatchLease(pb.BatchLeaseRequest(items=[item]))

    assert error_of(response.results[0].refusal, "quota").field == "unit_count"


async def test_a_subject_that_is_named_twice_is_counted_once(stub):
    item = hold(subjects=[subject(5), subject(5), subject(9, unit=limits.WINDOW_UNIT_HOUR)])

    response = await stub.BatchHold(pb.BatchHoldRequest(items=[item]))

    assert response.results[0].grant.states[0].remaining == 4


async def test_an_extension_of_nothing_is_unknown(stub):
    item = pb.ExtendItem(grant_id="g", partition="acme")

    response = await stub.BatchExtend(pb.BatchExtendRequest(items=[item]))

    error = error_of(response.results[0].refusal, "quota")
    assert (error.reason, error.values) == ("ERROR_REASON_HOLD_UNKNOWN", {"grant_id": "g"})


async def test_what_was_given_back_before_it_was_granted_is_refused(stub):
    items = [pb.ReleaseItem(grant_id="g", partition="acme"), pb.ReleaseItem(partition="acme")]
    released = await stub.BatchRelease(pb.BatchReleaseRequest(items=items))

    response = await stub.BatchHold(pb.BatchHoldRequest(items=[hold()]))

    assert not released.results[0].HasField("refusal")
    assert error_of(released.results[1].refusal, "quota").field == "grant_id"
    error = error_of(response.results[0].refusal, "quota")
    assert error.reason == "ERROR_REASON_HOLD_RELEASED"


async def test_settlements_are_answered_in_order_over_all_grants(stub):
    await stub.BatchHold(pb.BatchHoldRequest(items=[hold()]))
    good = pb.Settlement(
        held=ONE,
        spent=ONE,
        records=UsageRecords(records=[UsageRecord(hold_id="h")]).SerializeToString(),
    )
    bad = pb.Settlement(sequence=100_000)
    request = pb.BatchSettleRequest(
        grants=[
            grant_settlement(bad, good),
            grant_settlement(pb.Settlement(), pb.Settlement(), grant_id=""),
            grant_settlement(),
            grant_settlement(good, grant_id="lost"),
            grant_settlement(good, pb.Settlement(sequence=1, spent=limits.Amounts(requests=-1))),
        ]
    )

    response = await stub.BatchSettle(request)

    assert [
        error_of(result.refusal, "quota").field
        if result.HasField("refusal")
        else pb.Booking.Name(result.booking)
        for result in response.results
    ] == [
        *("sequence", "BOOKING_BOOKED", "grant_id", "grant_id"),
        *("BOOKING_UNHELD", "BOOKING_REPEATED", "spent"),
    ]


async def test_a_batch_that_is_too_large_is_refused_in_whole(stub):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.BatchHold(pb.BatchHoldRequest(items=[hold()] * 1_001))

    assert error_of_call(caught.value, "quota").field == "items"


@pytest.mark.parametrize(
    ("grants", "field"),
    [
        ([grant_settlement(*[pb.Settlement()] * 501)] * 2, "settlements"),
        ([grant_settlement()] * 1_001, "settlements"),
        ([grant_settlement(*[pb.Settlement(records=bytes(1 << 20))] * 17)], "records"),
    ],
    ids=["settlements", "grants", "records"],
)
async def test_a_settlement_batch_that_is_too_large_is_refused_in_whole(stub, grants, field):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.BatchSettle(pb.BatchSettleRequest(grants=grants))

    assert error_of_call(caught.value, "quota").field == field


async def test_a_settlement_with_too_many_records_is_refused_alone(stub):
    settlement = pb.Settlement(records=bytes((1 << 20) + 1))

    response = await stub.BatchSettle(
        pb.BatchSettleRequest(grants=[grant_settlement(settlement, pb.Settlement(sequence=1))])
    )

    assert error_of(response.results[0].refusal, "quota").field == "records"
    assert response.results[1].booking == pb.BOOKING_UNHELD


async def test_largest_amounts_are_counted(stub):
    most = limits.Amounts(requests=LARGEST_AMOUNT)
    item = hold(subjects=[subject(LARGEST_AMOUNT)], amounts=most)

    response = await stub.BatchHold(pb.BatchHoldRequest(items=[item]))

    assert response.results[0].grant.states[0].remaining == 0


async def test_a_store_that_does_not_answer_fails_the_call(store):
    stub = stub_of(Away(ManualClock(), Recorder()))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.BatchHold(pb.BatchHoldRequest(items=[hold()]))

    assert error_of_call(caught.value, "quota").reason == "ERROR_REASON_SERVICE_UNAVAILABLE"


async def test_an_empty_batch_is_answered_with_nothing(stub):
    assert not (await stub.BatchHold(pb.BatchHoldRequest())).results
    assert not (await stub.BatchSettle(pb.BatchSettleRequest())).results
