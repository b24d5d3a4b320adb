"""What the books say of requests for models with a cache."""

from routing.cached import (
    POLICY,
)
from routing.fake_quota import FakeQuota
from routing.fakes import (
    FakeAuth,
    model,
    snapshot,
    until,
)
from routing.gateway import Gateway
from routing.metering_values import at

from meshgate.v1 import limit_pb2 as limits
from meshgate.v1 import usage_pb2, usage_record_pb2


async def test_a_hit_is_one_request_without_tokens_and_its_record_says_what_it_saved(
    ask, gateway: Gateway, auth: FakeAuth, quota: FakeQuota
):
    gateway.snapshot = snapshot(model("m", targets=(at("a"),), cache=POLICY))
    auth.found["mg-alice"].organization_id = "acme"
    subject = auth.found["mg-alice"].subjects.add(kind=limits.SUBJECT_KIND_KEY, id="k1")
    for kind in (limits.LIMIT_KIND_REQUESTS, limits.LIMIT_KIND_TOKENS):
        subject.limits.add(kind=kind, amount=100_000, unit=limits.WINDOW_UNIT_MINUTE)

    await ask()
    await ask()
    await until(lambda: len(quota.records) == 2)

    miss, hit = sorted(quota.records, key=lambda record: record.cache, reverse=True)
    assert miss.cache == usage_record_pb2.CACHE_OUTCOME_MISS
    assert len(miss.charges) == 1
    assert hit.cache == usage_record_pb2.CACHE_OUTCOME_HIT
    assert hit.outcome == usage_record_pb2.REQUEST_OUTCOME_ANSWERED
    assert (hit.attempt_count, len(hit.charges)) == (0, 0)
    assert hit.saved == usage_record_pb2.Charge(
        provider="a",
        served_model="up-1",
        usage=usage_pb2.Usage(input_tokens=5, output_tokens=7),
        cost_nanos=5 * 1_000 + 7 * 2_000,
    )
    assert quota.spent["key/k1", "requests/minute"] == 2
    assert quota.spent["key/k1", "tokens/minute"] == 12


async def test_a_request_without_a_cache_says_nothing_of_one(ask, quota: FakeQuota):
    await ask(model="plain")

    await until(lambda: quota.records)
    [record] = quota.records
    assert record.cache == usage_record_pb2.CACHE_OUTCOME_UNSPECIFIED
    assert not record.HasField("saved")
