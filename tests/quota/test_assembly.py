import asyncio

import pytest
from quota.worlds import key, no_peers, per, redis_world
from runtime.hosting import Host, plain_channel, settings

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import WindowUnit
from meshgate.quota.assembly import Reach, assemble, sweep
from meshgate.quota.settings import Settings
from meshgate.runtime.environment import Environment, SettingError
from meshgate.runtime.errors import ServiceUnavailableError
from meshgate.v1 import limit_pb2 as limits
from meshgate.v1 import quota_service_pb2 as pb
from meshgate.v1.quota_service_pb2_grpc import QuotaServiceStub

SUBJECT = limits.Subject(kind=1, id="k", limits=[limits.Limit(kind=1, amount=1, unit=7)])


async def test_the_service_counts_in_the_store_it_is_told_of(any_redis):
    host = Host({"quota": assemble}, settings("grpc"), {"REDIS_URL": any_redis.url})
    async with plain_channel(await host.started()) as channel:
        items = [
            pb.HoldItem(
                grant_id=f"g{number}",
                partition="acme",
                subjects=[SUBJECT],
                amounts=limits.Amounts(requests=1),
            )
            for number in range(2)
        ]

        response = await QuotaServiceStub(channel).BatchHold(pb.BatchHoldRequest(items=items))

    assert [result.WhichOneof("outcome") for result in response.results] == ["grant", "refusal"]
    await host.ended()


async def test_the_service_starts_while_the_store_is_away():
    host = Host({"quota": assemble}, settings("grpc"), {"REDIS_URL": "redis://127.0.0.1:1/0"})

    assert await host.started()
    await host.ended()


@pytest.mark.parametrize("variables", [{}, {"REDIS_URL": "http://a"}])
async def test_a_service_that_is_told_of_no_store_does_not_start(variables):
    with pytest.raises(SettingError, match="REDIS_URL"):
        async with assemble(Environment(variables), no_peers()):
            pass


def test_settings_are_read_from_the_environment():
    read = Settings.read(
        Environment(
            {
                "REDIS_URL": "redis://a:1/0",
                "QUOTA_RETENTION": "5m",
                "QUOTA_SETTLED_RETENTION": "2h",
                "QUOTA_USAGE_ENTRIES": "7",
                "QUOTA_ALERT_ENTRIES": "8",
                "QUOTA_HOLD_TIMEOUT": "300ms",
                "QUOTA_SETTLE_TIMEOUT": "9s",
                "QUOTA_SETTLED_REPLICAS": "1",
                "QUOTA_SWEEP_INTERVAL": "4s",
                "LEDGER_DATABASE_URL": "sqlite:///ledger",
                "LEDGER_TIMEOUT": "6s",
            }
        )
    )

    assert read == Settings(
        "redis://a:1/0", 300.0, 7_200.0, 7, 8, 0.3, 9.0, 1, 4.0, "sqlite:///ledger", 6.0
    )


class Flaky:
    """A store whose first sweep fails."""

    def __init__(self):
        self.sweeps: asyncio.Queue[None] = asyncio.Queue()
        self.failures = 1

    async def sweep(self, deadline):
        self.sweeps.put_nowait(None)
        if self.failures:
            self.failures -= 1
            raise ServiceUnavailableError("the store is away")
        return 0


async def test_sweeping_goes_on_after_the_store_was_away():
    store = Flaky()
    reach = Reach()
    sweeping = asyncio.create_task(sweep(store, 0.0, 1.0, reach))

    seen = []
    for _ in range(3):
        await store.sweeps.get()
        seen.append(list(reach.lacks()))

    assert not sweeping.done()
    assert seen[-1] == []
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)


async def test_a_store_that_does_not_answer_is_told_of():
    store, reach = Flaky(), Reach()
    sweeping = asyncio.create_task(sweep(store, 600.0, 1.0, reach))

    await store.sweeps.get()
    await asyncio.sleep(0)

    assert list(reach.lacks()) == ["redis does not answer"]
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)


async def test_a_thousand_who_are_gone_are_noticed_by_one_sweep(valkey):
    subjects = [key("k", per(WindowUnit.HOUR, 10**6))]
    async with redis_world(valkey) as world:
        for number in range(1_100):
            await world.hold(f"g{number}", subjects, Amounts(requests=1), ttl=1)
        world.clock.advance(1)

        assert await world.sweep() == 1_100
