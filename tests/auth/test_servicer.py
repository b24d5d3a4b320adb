import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from ipaddress import ip_network

import grpc
import pytest
from auth.configuration import ChangingSource, Secrets, key, snapshot
from runtime.binding import BOUND_SECONDS, until

from meshgate.auth.changes import PrincipalChanges
from meshgate.auth.configured_keys import ConfiguredKeys
from meshgate.auth.principals import Principal, PrincipalKind
from meshgate.auth.servicer import AuthServicer
from meshgate.limits.limit import Limit, LimitKind, Subject, SubjectKind, WindowUnit
from meshgate.limits.messages import subject_of
from meshgate.runtime.errors import ServiceUnavailableError
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.interception import intercepted
from meshgate.runtime.server import make_server
from meshgate.runtime.service import Implementation
from meshgate.runtime.status import error_of, error_of_call
from meshgate.v1 import auth_service_pb2 as pb
from meshgate.v1 import principal_pb2
from meshgate.v1.auth_service_pb2_grpc import AuthServiceStub

SERVICE = pb.DESCRIPTOR.services_by_name["AuthService"]


class Auth:
    """The service with a configuration that the test changes."""

    def __init__(self, heartbeat_seconds: float = 0.001) -> None:
        declared = [
            key("a", organization_id="acme", team_id="core", user_id="ada", tags={"env": "test"}),
            key(
                "near",
                allowed_networks=(ip_network("10.0.0.0/8"),),
                expire_time=datetime(2999, 1, 1, tzinfo=UTC),
            ),
            key("old", expire_time=datetime(2020, 1, 1, tzinfo=UTC)),
        ]
        self.source = ChangingSource(snapshot(*declared))
        self.changes = PrincipalChanges()
        self.keys = ConfiguredKeys(self.source.current(), Secrets(), self.changes, admin_key="root")
        self.servicer = AuthServicer(self.keys, self.changes, heartbeat_seconds)

    def methods(self):
        return intercepted(Implementation(SERVICE, self.servicer), MeshIdentity(None))


class Store:
    """Finds what the test says."""

    def __init__(self, *findings) -> None:
        self._findings = findings

    async def find(self, _presented):
        return self._findings


def methods_of(servicer):
    return intercepted(Implementation(SERVICE, servicer), MeshIdentity(None))


@asynccontextmanager
async def remote(stack, methods):
    server = make_server(stack, methods)
    port = await server.start("127.0.0.1:0")
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(0)


@asynccontextmanager
async def in_process(methods):
    yield InProcessChannel(methods, ())


@pytest.fixture(
    params=[in_process, partial(remote, "grpc"), partial(remote, "native")],
    ids=["in-process", "grpc", "native"],
)
def binding(request):
    return request.param


@pytest.fixture
def auth():
    return Auth()


@pytest.fixture
async def stub(auth, binding):
    async with binding(auth.methods()) as channel:
        yield AuthServiceStub(channel)


def asking(*items):
    return pb.BatchAuthenticateRequest(
        items=[
            pb.AuthenticateItem(credential=credential, client_address=address)
            for credential, address in items
        ]
    )


async def test_a_key_finds_its_principal(stub):
    response = await stub.BatchAuthenticate(asking(("secret of a", "127.0.0.1")))

    principal = response.results[0].principal
    assert principal.revision
    principal.revision = ""
    assert principal == principal_pb2.Principal(
        principal_id="config/a",
        kind=principal_pb2.PRINCIPAL_KIND_KEY,
        key_id="config/a",
        user_id="ada",
        team_id="core",
        organization_id="acme",
        allowed_models=["*"],
        tags={"env": "test"},
    )


async def test_networks_and_expiry_travel_with_the_principal(stub):
    response = await stub.BatchAuthenticate(asking(("secret of near", "10.0.0.1")))

    principal = response.results[0].principal
    assert principal.allowed_networks == ["10.0.0.0/8"]
    assert principal.expire_time.ToDatetime(UTC) == datetime(2999, 1, 1, tzinfo=UTC)


async def test_results_come_in_the_order_of_the_items_and_a_refusal_fails_no_other(stub):
    response = await stub.BatchAuthenticate(
        asking(
            ("nobody", "::1"),
            ("root", "::1"),
            ("secret of near", "192.0.2.1"),
            ("secret of old", "::1"),
            ("secret of a", "::1"),
        )
    )

    outcomes = [
        result.principal.principal_id or error_of(result.refusal, "auth").reason
        for result in response.results
    ]
    assert outcomes == [
        "ERROR_REASON_CREDENTIAL_INVALID",
        "admin",
        "ERROR_REASON_PERMISSION_DENIED",
        "ERROR_REASON_CREDENTIAL_INVALID",
        "config/a",
    ]


async def test_a_refusal_has_a_code_and_one_error_info(stub):
    response = await stub.BatchAuthenticate(asking(("hunter2", "::1")))

    refusal = response.results[0].refusal
    assert refusal.code == grpc.StatusCode.UNAUTHENTICATED.value[0]
    assert len(refusal.details) == 1
    assert "hunter2" not in str(refusal)


async def test_a_batch_of_a_thousand_is_answered_and_one_more_is_refused(stub):
    most = await stub.BatchAuthenticate(asking(*[("root", "")] * 1_000))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.BatchAuthenticate(asking(*[("root", "")] * 1_001))

    assert len(most.results) == 1_000
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error_of_call(caught.value, "auth").field == "items"


async def test_a_watch_begins_with_a_heartbeat_and_goes_on_with_them(stub):
    watch = aiter(stub.WatchPrincipals(pb.WatchPrincipalsRequest(), timeout=BOUND_SECONDS))

    kinds = [(await anext(watch)).WhichOneof("event") for _ in range(3)]

    assert kinds == ["heartbeat"] * 3


async def test_a_key_that_leaves_the_configuration_is_told_and_refused(auth, stub):
    following = asyncio.ensure_future(auth.keys.follow(auth.source))
    watch = aiter(stub.WatchPrincipals(pb.WatchPrincipalsRequest(), timeout=BOUND_SECONDS))
    await anext(watch)

    auth.source.replace(snapshot())
    notice = await next_change(watch)
    response = await stub.BatchAuthenticate(asking(("secret of a", ""), ("root", "")))

    assert list(notice.principal_ids) == ["config/a", "config/near", "config/old"]
    assert response.results[0].WhichOneof("outcome") == "refusal"
    assert response.results[1].principal.principal_id == "admin"
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_the_limits_of_a_principal_travel_with_it(binding):
    limits = (Limit.of(LimitKind.REQUESTS, 10, WindowUnit.MINUTE),)
    subjects = (Subject(SubjectKind.KEY, "a", limits), Subject(SubjectKind.EVERYONE, "", limits))
    store = Store(Principal("a", PrincipalKind.KEY, subjects=subjects))
    servicer = AuthServicer(store, PrincipalChanges(), 1)

    async with binding(methods_of(servicer)) as channel:
        response = await AuthServiceStub(channel).BatchAuthenticate(asking(("x", "")))

    told = response.results[0].principal.subjects
    assert tuple(subject_of(message) for message in told) == subjects


async def test_what_cannot_be_told_of_one_credential_fails_no_other(binding):
    gone = ServiceUnavailableError("gone", retry_after_seconds=1)
    store = Store(gone, Principal("a", PrincipalKind.KEY))
    servicer = AuthServicer(store, PrincipalChanges(), 1)

    async with binding(methods_of(servicer)) as channel:
        response = await AuthServiceStub(channel).BatchAuthenticate(asking(("x", ""), ("y", "")))

    first, second = response.results
    assert isinstance(error_of(first.refusal, "auth"), ServiceUnavailableError)
    assert second.principal.principal_id == "a"


async def test_while_changes_are_not_seen_a_watch_is_silent_and_misses_nothing(binding):
    sees = asyncio.Event()
    changes = PrincipalChanges()
    servicer = AuthServicer(Store(), changes, 0.001, sees.is_set)

    async with binding(methods_of(servicer)) as channel:
        watch = AuthServiceStub(channel).WatchPrincipals(
            pb.WatchPrincipalsRequest(), timeout=BOUND_SECONDS
        )
        first = asyncio.ensure_future(anext(aiter(watch)))
        await until(lambda: changes._watches)
        for name in ("a", "b"):
            changes.publish(frozenset({name}))
            await until(lambda: not any(one._pending for one in changes._watches))
        silent = not first.done()
        sees.set()
        notice = await first

    assert silent
    assert list(notice.changed.principal_ids) == ["a", "b"]


async def test_when_everything_changed_the_watches_end(auth, stub):
    watch = aiter(stub.WatchPrincipals(pb.WatchPrincipalsRequest(), timeout=BOUND_SECONDS))
    await anext(watch)

    auth.changes.publish_everything()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _notice in watch:
            pass
    assert isinstance(error_of_call(caught.value, "auth"), ServiceUnavailableError)


async def test_a_drain_ends_the_watches(auth, stub):
    watch = aiter(stub.WatchPrincipals(pb.WatchPrincipalsRequest(), timeout=BOUND_SECONDS))
    await anext(watch)

    auth.changes.close()

    assert [notice async for notice in watch if notice.HasField("changed")] == []


async def test_a_watcher_that_goes_away_is_forgotten(binding):
    auth = Auth()
    async with binding(auth.methods()) as channel:
        call = AuthServiceStub(channel).WatchPrincipals(
            pb.WatchPrincipalsRequest(), timeout=BOUND_SECONDS
        )
        watch = aiter(call)
        await anext(watch)
        assert len(auth.changes._watches) == 1

        call.cancel()
        if hasattr(watch, "aclose"):
            await watch.aclose()
        await until(lambda: not auth.changes._watches)


async def next_change(watch):
    while True:
        notice = await anext(watch)
        if notice.HasField("changed"):
            return notice.changed
