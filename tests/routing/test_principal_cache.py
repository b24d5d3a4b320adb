"""The cache of principals: never older than auth's notices allow, and never in auth's way."""

import asyncio

import pytest
from routing.fakes import (
    KEY,
    FakeAuth,
    arrival,
    key_of,
)
from routing.principal_bench import Bench

from meshgate.runtime.errors import (
    CredentialError,
    CredentialInvalidError,
    CredentialMissingError,
    DeadlineExceededError,
    GatewayError,
    MeshIdentityError,
    ServiceUnavailableError,
)
from meshgate.v1 import auth_service_pb2

AWAY = ServiceUnavailableError("away")


class TestKeeping:
    async def test_a_principal_is_kept_while_the_watch_is_alive(self, bench: Bench) -> None:
        await bench.ask()
        await bench.pass_time(120)

        assert await bench.ask() == "alice"
        assert bench.asked == 1

    async def test_a_key_is_asked_again_after_a_second_of_silence(self, bench: Bench) -> None:
        await bench.ask()
        bench.clock.time += 1.001

        await bench.ask()

        assert bench.asked == 2

    async def test_many_requests_in_silence_ask_four_times_a_second(self, bench: Bench) -> None:
        await bench.ask()
        bench.clock.time += 5

        for _ in range(100):
            await bench.ask()
            bench.clock.time += 0.01

        assert bench.asked == 1 + 4

    async def test_a_second_of_silence_is_not_yet_too_long(self, bench: Bench) -> None:
        await bench.ask()
        bench.clock.time += 1.0

        await bench.ask()

        assert bench.asked == 1

    async def test_what_was_kept_counts_again_once_the_watch_is_heard_again(
        self, bench: Bench
    ) -> None:
        await bench.ask()
        bench.clock.time += 5
        await bench.auth.beat()

        await bench.ask()

        assert bench.asked == 1

    async def test_what_auth_is_asked_says_who_asks_and_from_where(self, bench: Bench) -> None:
        await bench.ask(address="198.51.100.9")

        item = bench.auth.batches[0].items[0]
        assert (item.credential, item.client_address) == (KEY, "198.51.100.9")
        assert (item.method, item.context.request_id) == ("Test.Call", "r-1")

    async def test_no_credential_is_not_asked_about(self, bench: Bench) -> None:
        with pytest.raises(CredentialMissingError):
            await bench.cache.authenticate(arrival(None))

        assert bench.asked == 0

    async def test_a_credential_too_long_to_be_one_is_invalid_unasked(self, bench: Bench) -> None:
        with pytest.raises(CredentialInvalidError):
            await bench.ask("x" * 8193)

        assert bench.asked == 0

    async def test_many_arrivals_with_one_new_key_cause_few_calls(self, bench: Bench) -> None:
        found = await asyncio.gather(*(bench.ask() for _ in range(1000)))

        assert set(found) == {"alice"}
        assert len(bench.auth.batches) <= 3

    async def test_the_number_of_kept_principals_is_bounded_and_the_oldest_goes(
        self, small_bench: Bench
    ) -> None:
        bench = small_bench
        bench.auth.found |= {name: key_of(name) for name in ("k1", "k2", "k3")}
        for name in ("k1", "k2", "k3", "k2", "k3"):
            await bench.ask(name)
        before = bench.asked

        await bench.ask("k1")

        assert (before, bench.asked) == (3, 4)


class TestBeforeTheWatch:
    async def test_a_first_request_before_the_first_heartbeat_works(self, auth: FakeAuth) -> None:
        bench = Bench(auth)

        assert await bench.ask() == "alice"
        bench.clock.time += 0.26
        assert await bench.ask() == "alice"
        assert bench.asked == 2

    async def test_what_was_found_before_the_first_heartbeat_is_asked_once_more(
        self, auth: FakeAuth
    ) -> None:
        bench = Bench(auth)
        await bench.ask()
        watching = asyncio.create_task(bench.cache.watch())
        await auth.watched()
        await auth.beat()

        await bench.ask()
        await bench.ask()

        assert bench.asked == 2
        watching.cancel()


class TestAuthAway:
    async def test_a_kept_principal_is_used_up_to_stale_for(self, bench: Bench) -> None:
        await bench.ask()
        bench.auth.failure = AWAY
        bench.clock.time += 30

        assert await bench.ask() == "alice"

    async def test_so_it_is_if_auth_cannot_tell_of_this_key_alone(self, bench: Bench) -> None:
        await bench.ask()
        bench.auth.found[KEY] = AWAY
        bench.clock.time += 30

        assert await bench.ask() == "alice"
        bench.clock.time += 0.001
        with pytest.raises(ServiceUnavailableError):
            await bench.ask()

    async def test_nothing_is_used_after_stale_for(self, bench: Bench) -> None:
        await bench.ask()
        bench.auth.failure = AWAY
        bench.clock.time += 30.001

        with pytest.raises(ServiceUnavailableError) as raised:
            await bench.ask()

        assert raised.value.values == {"service": "auth"}
        assert raised.value.retry_after_seconds == 1

    async def test_stale_for_begins_with_the_last_notice_not_with_the_answer(
        self, bench: Bench
    ) -> None:
        await bench.ask()
        await bench.pass_time(120)
        bench.auth.failure = AWAY
        bench.auth.watches[-1].put_nowait(AWAY)
        await bench.auth.watched(2)
        bench.clock.time += 29

        assert await bench.ask() == "alice"

        bench.clock.time += 1.001
        with pytest.raises(ServiceUnavailableError):
            await bench.ask()

    async def test_a_watch_that_comes_back_alone_does_not_make_old_knowledge_younger(
        self, bench: Bench
    ) -> None:
        await bench.ask()
        await bench.pass_time(10)
        bench.auth.failure = AWAY
        bench.auth.watches[-1].put_nowait(AWAY)
        await bench.auth.watched(2)
        bench.clock.time += 20
        await bench.auth.beat()
        bench.clock.time += 10.001

        with pytest.raises(ServiceUnavailableError):
            await bench.ask()

    async def test_stale_for_zero_uses_nothing(self, bench: Bench) -> None:
        bench.stale_for = 0
        await bench.ask()
        bench.auth.failure = AWAY
        bench.clock.time += 1.001

        with pytest.raises(ServiceUnavailableError):
            await bench.ask()

    async def test_an_unknown_key_is_not_let_in(self, bench: Bench) -> None:
        bench.auth.failure = AWAY

        with pytest.raises(ServiceUnavailableError):
            await bench.ask("mg-new")

    async def test_a_kept_refusal_stays_one(self, bench: Bench) -> None:
        with pytest.raises(CredentialError):
            await bench.ask("wrong")
        bench.auth.failure = AWAY
        bench.clock.time += 5

        with pytest.raises(CredentialError):
            await bench.ask("wrong")

    async def test_a_dropped_principal_is_not_used(self, bench: Bench) -> None:
        await bench.ask()
        await bench.auth.change("alice")
        bench.auth.failure = AWAY

        with pytest.raises(ServiceUnavailableError):
            await bench.ask()

    async def test_auth_that_breaks_lets_nobody_in(self, bench: Bench) -> None:
        bench.auth.failure = GatewayError("internal error")

        with pytest.raises(GatewayError):
            await bench.ask()

    async def test_a_wrong_mesh_identity_is_not_told_as_a_wrong_key(self, bench: Bench) -> None:
        bench.auth.failure = MeshIdentityError("this call does not carry the token of the mesh")

        with pytest.raises(GatewayError, match="internal error") as raised:
            await bench.ask()

        assert type(raised.value) is GatewayError

    async def test_auth_that_hangs_keeps_nobody_past_their_deadline(self, bench: Bench) -> None:
        bench.auth.open.clear()

        with pytest.raises(DeadlineExceededError):
            await bench.cache.authenticate(arrival(seconds=0.02))

        bench.auth.open.set()
        assert await bench.ask() == "alice"

    async def test_a_result_that_says_nothing_lets_nobody_in(self, bench: Bench) -> None:
        bench.auth.found[KEY] = auth_service_pb2.AuthenticateResult()

        with pytest.raises(GatewayError, match="internal error"):
            await bench.ask()
        with pytest.raises(GatewayError, match="internal error"):
            await bench.ask()

        assert bench.asked == 2


class TestExpiry:
    async def test_a_key_is_asked_again_once_it_has_expired(self, bench: Bench) -> None:
        bench.auth.found[KEY] = key_of("alice", expires_at=1010)
        await bench.ask()
        bench.today.time = 1009
        await bench.ask()
        assert bench.asked == 1

        bench.auth.found[KEY] = CredentialInvalidError("expired")
        bench.today.time = 1010
        with pytest.raises(CredentialError):
            await bench.ask()

    async def test_an_expired_key_is_not_used_while_auth_is_away(self, bench: Bench) -> None:
        bench.auth.found[KEY] = key_of("alice", expires_at=1010)
        await bench.ask()
        bench.auth.failure = AWAY
        bench.today.time = 1011

        with pytest.raises(ServiceUnavailableError):
            await bench.ask()
