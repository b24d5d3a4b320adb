"""CacheService as its callers meet it."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from bindings import BINDINGS
from cache.conftest import Clock
from cache.memory import MemoryStore
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from meshgate.cache import servicer
from meshgate.cache.assembly import SERVICE
from meshgate.cache.servicer import MAXIMUM_ITEMS, CacheServicer
from meshgate.runtime.errors import InvalidRequestError, ServiceUnavailableError
from meshgate.runtime.service import Implementation
from meshgate.runtime.status import error_of, error_of_call
from meshgate.v1 import cache_service_pb2 as pb
from meshgate.v1 import provider_service_pb2
from meshgate.v1.cache_service_pb2_grpc import CacheServiceStub

MOST = 1_000


class Away(MemoryStore):
    async def find(self, places: Any) -> Any:
        raise ServiceUnavailableError("the store is away")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=BINDINGS)
async def stub(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[Any]:
    serves = CacheServicer(MemoryStore(clock), MOST, clock)
    async with BINDINGS[request.param]([Implementation(SERVICE, serves)]) as channel:
        yield CacheServiceStub(channel)


def entry(body: bytes = b"{}", made_at: int = 1_000) -> pb.CacheEntry:
    return pb.CacheEntry(
        dialect=provider_service_pb2.DIALECT_OPENAI_CHAT,
        body=body,
        served_model="gpt",
        provider="openai",
        cost_nanos=0,
        create_time=Timestamp(seconds=made_at),
    )


def storing(number: int = 1, **fields: Any) -> pb.CacheStoreItem:
    given = {"partition": "acme", "entry": entry(), "ttl": Duration(seconds=60)}
    return pb.CacheStoreItem(fingerprint=bytes([number]) * 32, **(given | fields))


def looking(number: int = 1, **fields: Any) -> pb.CacheLookupItem:
    given = {"partition": "acme", "fingerprint": bytes([number]) * 32}
    return pb.CacheLookupItem(**(given | fields))


async def store(stub: Any, *items: pb.CacheStoreItem) -> list[Any]:
    return list((await stub.BatchStore(pb.BatchStoreRequest(items=items))).results)


async def look(stub: Any, *items: pb.CacheLookupItem) -> list[Any]:
    return list((await stub.BatchLookup(pb.BatchLookupRequest(items=items))).results)


async def test_what_is_stored_is_found_as_it_was(stub: Any):
    await store(stub, storing(entry=entry(b'{"a": 1}')))

    [found] = await look(stub, looking())

    assert found.hit == entry(b'{"a": 1}')
    assert found.hit.HasField("cost_nanos")


async def test_results_come_in_the_order_of_the_items(stub: Any):
    await store(stub, storing(1, entry=entry(b"1")), storing(2, entry=entry(b"2")))

    results = await look(stub, looking(2), looking(9), looking(fingerprint=b"short"), looking(1))

    assert [result.WhichOneof("outcome") for result in results] == ["hit", "miss", "refusal", "hit"]
    assert [results[0].hit.body, results[3].hit.body] == [b"2", b"1"]


async def test_an_empty_batch_has_no_results(stub: Any):
    assert await look(stub) == []
    assert await store(stub) == []


@pytest.mark.parametrize(
    ("max_age", "outcome"), [(None, "hit"), (31, "hit"), (30, "hit"), (29, "miss"), (0, "miss")]
)
async def test_an_answer_that_is_too_old_is_passed_over(
    stub: Any, clock: Clock, max_age: int | None, outcome: str
):
    await store(stub, storing())
    clock.time += 30

    more = {} if max_age is None else {"max_age": Duration(seconds=max_age)}
    [found] = await look(stub, looking(**more))

    assert found.WhichOneof("outcome") == outcome


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"ttl": None}, "ttl"),
        ({"entry": entry(b"x" * MOST)}, "entry"),
        ({"partition": ""}, "partition"),
        ({"partition": "x" * 1_025}, "partition"),
        ({"fingerprint": b"x" * 15}, "fingerprint"),
        ({"fingerprint": b"x" * 65}, "fingerprint"),
    ],
)
async def test_an_item_that_cannot_be_kept_is_refused_alone(stub: Any, wrong: Any, field: str):
    bad = storing(1, **{name: value for name, value in wrong.items() if name != "fingerprint"})
    bad.fingerprint = wrong.get("fingerprint", bad.fingerprint)

    refused, kept = await store(stub, bad, storing(2))

    error = error_of(refused.refusal, "cache")
    assert isinstance(error, InvalidRequestError)
    assert error.field == field
    assert kept.WhichOneof("outcome") == "stored"
    assert (await look(stub, looking(2)))[0].WhichOneof("outcome") == "hit"


async def test_an_answer_of_the_largest_size_is_kept(stub: Any):
    spare = MOST - entry(b"").ByteSize()
    body = b"x" * (spare - 4)  # its tag and its length

    [kept] = await store(stub, storing(entry=entry(body)))

    assert kept.WhichOneof("outcome") == "stored"


async def test_what_is_purged_is_not_found(stub: Any):
    await store(stub, storing(partition="acme"), storing(partition="globex"))

    await stub.PurgeEntries(pb.PurgeEntriesRequest(partition="acme"))

    results = await look(stub, looking(partition="acme"), looking(partition="globex"))
    assert [result.WhichOneof("outcome") for result in results] == ["miss", "hit"]


@pytest.mark.parametrize("call", ["BatchLookup", "BatchStore", "PurgeEntries"])
async def test_a_request_that_makes_no_sense_is_refused(stub: Any, call: str):
    request = {
        "BatchLookup": pb.BatchLookupRequest(items=[looking()] * (MAXIMUM_ITEMS + 1)),
        "BatchStore": pb.BatchStoreRequest(items=[storing()] * (MAXIMUM_ITEMS + 1)),
        "PurgeEntries": pb.PurgeEntriesRequest(),
    }[call]

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await getattr(stub, call)(request)

    assert isinstance(error_of_call(raised.value, "cache"), InvalidRequestError)


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_store_that_is_away_is_unavailable(binding: str, clock: Clock):
    serves = CacheServicer(Away(clock), MOST, clock)
    async with BINDINGS[binding]([Implementation(SERVICE, serves)]) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await look(CacheServiceStub(channel), looking())

    assert isinstance(error_of_call(raised.value, "cache"), ServiceUnavailableError)


async def test_one_batch_answers_no_more_than_a_message_can_carry(clock: Clock):
    large = servicer.MAXIMUM_ANSWER_BYTES // 2 - 1_000
    serves = CacheServicer(MemoryStore(clock), large + 1_000, clock)
    async with BINDINGS["in-process"]([Implementation(SERVICE, serves)]) as channel:
        stub = CacheServiceStub(channel)
        await store(stub, storing(entry=entry(b"x" * large)))

        results = await look(stub, looking(), looking(), looking())

    assert [result.WhichOneof("outcome") for result in results] == ["hit", "hit", "miss"]
