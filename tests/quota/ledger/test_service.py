"""The quota service with a ledger."""

import asyncio
import contextlib

import pytest
from quota.ledger.databases import migrated_sqlite
from quota.ledger.streams import recorded
from quota.ledger.usage import check_books, database_at, rows
from quota.worlds import no_peers
from runtime.hosting import Host, plain_channel, settings

from meshgate.quota.assembly import assemble
from meshgate.quota.ledger.schema import IDS
from meshgate.runtime.environment import Environment, SettingError
from meshgate.v1 import limit_pb2 as limits
from meshgate.v1 import quota_service_pb2 as pb
from meshgate.v1.quota_service_pb2_grpc import QuotaServiceStub


def settlement(hold_id: str) -> pb.BatchSettleRequest:
    one = pb.Settlement(spent=limits.Amounts(requests=1), records=recorded(hold_id))
    grant = pb.GrantSettlement(grant_id=hold_id, partition="acme", settlements=[one])
    return pb.BatchSettleRequest(grants=[grant])


async def test_what_is_settled_comes_into_the_ledger_by_itself(valkey, ledger_url):
    variables = {"REDIS_URL": valkey.url, "LEDGER_DATABASE_URL": ledger_url}
    host = Host({"quota": assemble}, settings("grpc"), variables)
    async with plain_channel(await host.started()) as channel, database_at(ledger_url) as database:
        for number in range(3):
            await QuotaServiceStub(channel).BatchSettle(settlement(f"h{number}"))

        while len(await rows(database, IDS)) < 3:
            await asyncio.sleep(0.01)
        found = await check_books(database)

    assert found == ["h0", "h1", "h2"]
    await host.ended()


@contextlib.asynccontextmanager
async def keeping(redis_url: str, ledger_url: str):
    """The service, and its task that keeps the ledger."""
    variables = {"REDIS_URL": redis_url, "LEDGER_DATABASE_URL": ledger_url}
    async with assemble(Environment(variables), no_peers()) as service:
        task = asyncio.create_task(service.tasks["keep the ledger"]())
        try:
            yield service
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_the_service_works_without_its_ledger_and_says_that_it_lacks_it(valkey, tmp_path):
    file = tmp_path / "ledger.sqlite"
    async with keeping(valkey.url, f"sqlite:///{file}") as service:
        answered = await service.implementations[0].servicer.BatchSettle(
            settlement("h"), NoDeadline()
        )
        while not service.lacks():
            await asyncio.sleep(0.01)
        lacked = service.lacks()

        url = await asyncio.to_thread(migrated_sqlite, file)
        async with database_at(url) as database:
            while not await rows(database, IDS):
                await asyncio.sleep(0.01)
            await check_books(database)

        assert service.lacks() == ()
    assert answered.results[0].booking == pb.BOOKING_UNHELD
    assert lacked == ("the database of the ledger does not answer",)


async def test_a_service_without_a_ledger_has_nothing_to_keep(valkey):
    async with assemble(Environment({"REDIS_URL": valkey.url}), no_peers()) as service:
        assert "keep the ledger" not in service.tasks
        assert service.lacks() == ()


async def test_a_service_whose_ledger_has_no_possible_url_does_not_start(valkey):
    variables = {"REDIS_URL": valkey.url, "LEDGER_DATABASE_URL": "mysql://user:secret@host/name"}

    with pytest.raises(SettingError, match="LEDGER_DATABASE_URL") as caught:
        async with assemble(Environment(variables), no_peers()):
            pass

    assert "secret" not in str(caught.value)


class NoDeadline:
    """The context of a call that may take as long as it likes."""

    def time_remaining(self):
        return None
