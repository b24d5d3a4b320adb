"""The cache of principals: what changes, refusals, networks and broken watches do to it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from routing.fakes import (
    BOUND_SECONDS,
    KEY,
    key_of,
    until,
)
from routing.principal_bench import Bench

from meshgate.routing.peers.auth import PrincipalCache
from meshgate.runtime.errors import (
    CredentialError,
    GatewayError,
    PermissionDeniedError,
    ServiceUnavailableError,
)
from meshgate.v1 import auth_service_pb2

AWAY = ServiceUnavailableError("away")


class TestChanges:
    async def test_a_change_drops_the_principals_that_it_names(self, bench: Bench) -> None:
        await bench.ask()
        del bench.auth.found[KEY]
        await bench.auth.change("alice")

        with pytest.raises(CredentialError):
            await bench.ask()

    async def test_a_change_leaves_the_others(self, bench: Bench) -> None:
        await bench.ask()
        await bench.auth.change("bob")
        await bench.pass_time(1.5)

        await bench.ask()

        assert bench.asked == 1

    async def test_a_change_while_the_answer_is_in_flight_wins(self, bench: Bench) -> None:
        bench.auth.open.clear()
        asking = asyncio.create_task(bench.ask())
        await bench.auth.asked.wait()
        del bench.auth.found[KEY]
        await bench.auth.change("alice")
        bench.auth.open.set()
        await asking

        with pytest.raises(CredentialError):
            await bench.ask()

    async def test_a_second_change_in_the_same_instant_wins_too(self, bench: Bench) -> None:
        await bench.auth.change("bob")
        bench.auth.open.clear()
        asking = asyncio.create_task(bench.ask())
        await bench.auth.asked.wait()
        del bench.auth.found[KEY]
        await bench.auth.change("alice")
        bench.auth.open.set()
        await asking

        with pytest.raises(CredentialError):
            await bench.ask()

    async def test_what_is_said_soon_after_a_change_is_asked_again_before_long(
        self, bench: Bench
    ) -> None:
        await bench.auth.change("alice")
        await bench.pass_time(1.0)
        await bench.ask()
        await bench.pass_time(0.25)
        await bench.ask()
        assert bench.asked == 1

        await bench.pass_time(0.25)
        await bench.ask()

        assert bench.asked == 2

    async def test_what_is_said_later_stays(self, bench: Bench) -> None:
        await bench.auth.change("alice")
        await bench.pass_time(2.0)
        await bench.ask()
        await bench.pass_time(60)

        await bench.ask()

        assert bench.asked == 1

    async def test_what_is_unsettled_stays_so_after_another_change(self, bench: Bench) -> None:
        await bench.auth.change("alice")
        await bench.ask()
        await bench.auth.change("bob")
        await bench.pass_time(3)

        await bench.ask()

        assert bench.asked == 2


class TestRefusals:
    async def test_a_refusal_is_kept(self, bench: Bench) -> None:
        for _ in range(3):
            with pytest.raises(CredentialError):
                await bench.ask("wrong")

        assert bench.asked == 1

    async def test_refusals_are_dropped_on_any_change(self, bench: Bench) -> None:
        with pytest.raises(CredentialError):
            await bench.ask("mg-new")
        bench.auth.found["mg-new"] = key_of("newcomer")
        await bench.auth.change("newcomer")

        assert await bench.ask("mg-new") == "newcomer"

    async def test_refusals_are_bounded(self, small_bench: Bench) -> None:
        bench = small_bench
        for number in range(11):
            with pytest.raises(CredentialError):
                await bench.ask(f"wrong-{number}")

        with pytest.raises(CredentialError):
            await bench.ask("wrong-10")
        assert bench.asked == 11
        with pytest.raises(CredentialError):
            await bench.ask("wrong-0")
        assert bench.asked == 12

    async def test_bad_keys_do_not_push_good_ones_out(self, small_bench: Bench) -> None:
        bench = small_bench
        await bench.ask()
        for number in range(50):
            with pytest.raises(CredentialError):
                await bench.ask(f"wrong-{number}")
        before = bench.asked

        await bench.ask()

        assert bench.asked == before

    async def test_an_error_that_is_no_refusal_is_not_kept(self, bench: Bench) -> None:
        bench.auth.found["k"] = GatewayError("internal error")
        with pytest.raises(GatewayError):
            await bench.ask("k")
        bench.auth.found["k"] = key_of("carol")

        assert await bench.ask("k") == "carol"

    async def test_a_key_that_is_refused_later_is_forgotten(self, bench: Bench) -> None:
        await bench.ask()
        del bench.auth.found[KEY]
        bench.clock.time += 2  # silence

        with pytest.raises(CredentialError):
            await bench.ask()

        bench.auth.failure = AWAY
        with pytest.raises(CredentialError):
            await bench.ask()


class TestNetworks:
    async def test_a_bound_key_is_kept_for_each_address(self, bench: Bench) -> None:
        bench.auth.found[KEY] = key_of("alice", networks=["192.0.2.0/24"])
        for _ in range(2):
            await bench.ask(address="192.0.2.1")
            await bench.ask(address="192.0.2.2")

        assert bench.asked == 2

    async def test_a_bound_key_is_refused_from_elsewhere_and_good_where_it_was(
        self, bench: Bench
    ) -> None:
        bench.auth.found[KEY] = key_of("alice", networks=["192.0.2.0/24"])
        bench.auth.found[KEY, "203.0.113.5"] = PermissionDeniedError("not from there")
        await bench.ask(address="192.0.2.1")

        for _ in range(2):
            with pytest.raises(PermissionDeniedError):
                await bench.ask(address="203.0.113.5")
        await bench.ask(address="192.0.2.1")

        assert bench.asked == 2

    async def test_a_free_key_is_asked_about_once_for_all_addresses(self, bench: Bench) -> None:
        await bench.ask(address="192.0.2.1")
        await bench.ask(address="203.0.113.5")

        assert bench.asked == 1

    async def test_a_change_drops_a_bound_key_everywhere(self, bench: Bench) -> None:
        bench.auth.found[KEY] = key_of("alice", networks=["192.0.2.0/24"])
        await bench.ask(address="192.0.2.1")
        await bench.ask(address="192.0.2.2")
        await bench.auth.change("alice")

        await bench.ask(address="192.0.2.1")
        await bench.ask(address="192.0.2.2")

        assert bench.asked == 4


class TestWatching:
    @pytest.mark.parametrize("end", [None, AWAY, RuntimeError("broken")])
    async def test_a_watch_that_ends_is_begun_again(self, bench: Bench, end: Any) -> None:
        await bench.ask()
        bench.auth.watches[-1].put_nowait(end)
        await bench.auth.watched(2)
        await bench.auth.beat()

        await bench.ask()
        await bench.ask()

        assert bench.asked == 2  # it may have changed while nobody watched

    async def test_a_call_that_is_cut_off_under_the_watch_does_not_end_it(self) -> None:
        channel = CutChannel()
        cache = PrincipalCache(channel, lambda: 30.0)
        watching = asyncio.create_task(cache.watch())

        await until(lambda: channel.watches >= 2)

        assert not watching.done()
        watching.cancel()
        async with asyncio.timeout(BOUND_SECONDS):
            await asyncio.wait([watching])
        assert watching.cancelled()

    async def test_a_watch_without_auth_goes_on_trying(self) -> None:
        channel = AbsentChannel()
        watching = asyncio.create_task(PrincipalCache(channel, lambda: 30.0).watch())

        await until(lambda: channel.watches >= 2)

        watching.cancel()


class CutChannel:
    """Every stream ends as those of grpcio do when their channel is closed."""

    def __init__(self) -> None:
        self.watches = 0

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        return None

    def unary_stream(self, *_: Any, **__: Any) -> Any:
        return self._watch

    async def _watch(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        self.watches += 1
        yield auth_service_pb2.WatchPrincipalsResponse(heartbeat={})
        self._end()

    def _end(self) -> None:
        raise asyncio.CancelledError


class AbsentChannel(CutChannel):
    """No instance is serving."""

    def _watch(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        self.watches += 1
        raise grpc.aio.AioRpcError(
            grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata()
        )
