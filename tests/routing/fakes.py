"""The peers of routing, as small scriptable servicers, and the values that tests are made of."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from meshgate.config.snapshot import AuthOptions, Model, Retries, Snapshot, Target
from meshgate.dialects.answers import RequestHead
from meshgate.routing.arrival import Arrival
from meshgate.routing.principal import Principal
from meshgate.routing.question import Question
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.errors import CredentialInvalidError, GatewayError
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.instance import InstanceServicer
from meshgate.runtime.interception import intercepted
from meshgate.runtime.service import Implementation, Method, Service
from meshgate.runtime.status import status_of
from meshgate.v1 import auth_service_pb2, principal_pb2, provider_service_pb2
from meshgate.v1.auth_service_pb2_grpc import AuthServiceServicer
from meshgate.v1.provider_service_pb2_grpc import ProviderServiceServicer

BOUND_SECONDS = 20
IDENTITY = MeshIdentity("the token of the mesh")
KEY = "mg-alice"
ADMIN_KEY = "mg-admin"

AUTH = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]
PROVIDER = provider_service_pb2.DESCRIPTOR.services_by_name["ProviderService"]


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def key_of(
    principal_id: str,
    models: Iterable[str] = ("*",),
    *,
    networks: Iterable[str] = (),
    expires_at: int | None = None,
    kind: Any = principal_pb2.PRINCIPAL_KIND_KEY,
) -> principal_pb2.Principal:
    return principal_pb2.Principal(
        principal_id=principal_id,
        kind=kind,
        allowed_models=models,
        allowed_networks=networks,
        expire_time=None if expires_at is None else Timestamp(seconds=expires_at),
    )


class FakeAuth(AuthServiceServicer):
    """Knows the principals that it is told of; its watches say what the test says."""

    def __init__(self) -> None:
        self.found: dict[Any, Any] = {
            KEY: key_of("alice"),
            ADMIN_KEY: key_of("admin", kind=principal_pb2.PRINCIPAL_KIND_ADMIN),
        }
        self.failure: GatewayError | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.batches: list[Any] = []
        self.watches: list[asyncio.Queue[Any]] = []

    def channel(self) -> InProcessChannel:
        return channel_to(Implementation(AUTH, self, internal=True))

    async def BatchAuthenticate(self, request: Any, context: Any) -> Any:
        results = [self._result(item) for item in request.items]
        self.batches.append(request)
        self.asked.set()
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return auth_service_pb2.BatchAuthenticateResponse(results=results)

    async def WatchPrincipals(self, request: Any, context: Any) -> AsyncIterator[Any]:
        notices: asyncio.Queue[Any] = asyncio.Queue()
        self.watches.append(notices)
        while (notice := await notices.get()) is not None:
            if isinstance(notice, BaseException):
                raise notice
            yield notice
            notices.task_done()  # asked for the next: this one was taken note of

    async def watched(self, count: int = 1) -> asyncio.Queue[Any]:
        """The watch of that number, counted from 1, once it is there."""
        await until(lambda: len(self.watches) >= count)
        return self.watches[count - 1]

    async def beat(self) -> None:
        await self._tell(auth_service_pb2.WatchPrincipalsResponse(heartbeat={}))

    async def change(self, *principal_ids: str) -> None:
        changed = auth_service_pb2.PrincipalsChanged(principal_ids=principal_ids)
        await self._tell(auth_service_pb2.WatchPrincipalsResponse(changed=changed))

    async def _tell(self, notice: Any) -> None:
        self.watches[-1].put_nowait(notice)
        async with asyncio.timeout(BOUND_SECONDS):
            await self.watches[-1].join()

    def _result(self, item: Any) -> Any:
        here = (item.credential, item.client_address)
        found = self.found.get(here, self.found.get(item.credential))
        found = found or CredentialInvalidError("this API key is not known")
        if isinstance(found, GatewayError):
            return auth_service_pb2.AuthenticateResult(refusal=status_of(found))
        if isinstance(found, principal_pb2.Principal):
            return auth_service_pb2.AuthenticateResult(principal=found)
        return found


HANG = object()
"""A step that never comes."""


class FakeProvider(ProviderServiceServicer):
    """Does at each provider what it was told to; the last thing it was told, again and again.

    Knows no sessions.
    """

    def __init__(self) -> None:
        self.scripts: dict[str, list[Any]] = defaultdict(list)
        self.requests: list[Any] = []
        self.uploads: list[bytes] = []
        self.metadata: list[dict[str, Any]] = []
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.go_on = asyncio.Event()
        self.ended = 0
        self.lacks: tuple[str, ...] = ()
        self.targets: Any = [provider_service_pb2.TargetStatus()]

    def channel(self) -> InProcessChannel:
        return channel_to(Implementation(PROVIDER, self, internal=True))

    def at(self, provider: str, *answers: Any) -> None:
        """What attempts at a provider meet: one thing each, or a list of steps for streams."""
        self.scripts[provider] = list(answers)

    @property
    def tried(self) -> list[str]:
        return [request.target.provider for request in self.requests]

    async def Execute(self, request: Any, context: Any) -> Any:
        return await self._step(self._next(request))

    async def StreamExecute(self, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            for step in self._next(request):
                response = await self._step(step)
                if response is not None:
                    yield response
            self.ended += 1
        except GeneratorExit:
            self.cancelled.set()
            raise

    async def UploadExecute(self, request: Any, context: Any) -> AsyncIterator[Any]:
        pieces = aiter(request)
        opening = await anext(pieces)
        asked = opening.plain if opening.HasField("plain") else opening.streamed
        files = [piece.chunk async for piece in pieces]
        self.uploads.append(b"".join(files))
        if opening.HasField("plain"):
            response = await self._step(self._next(asked))
            yield provider_service_pb2.UploadExecuteResponse(response=response)
            return
        for step in self._next(asked):
            response = await self._step(step)
            if response is not None:
                yield provider_service_pb2.UploadExecuteResponse(step=response)

    async def WatchResults(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)
        yield

    async def ListTargets(self, request: Any, context: Any) -> Any:
        targets = await self._step(self.targets)
        return provider_service_pb2.ListTargetsResponse(targets=targets)

    def _next(self, request: Any) -> Any:
        self.requests.append(request)
        self.entered.set()
        script = self.scripts[request.target.provider]
        return script.pop(0) if len(script) > 1 else script[0]

    async def _step(self, step: Any) -> Any:
        try:
            if step is HANG:
                await asyncio.get_running_loop().create_future()
            if isinstance(step, asyncio.Event):
                await step.wait()
                return None
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if isinstance(step, Exception):
            raise step
        return step


def answer(body: bytes, **headers: str) -> Any:
    told = [
        provider_service_pb2.Header(name=name.replace("_", "-"), value=value)
        for name, value in headers.items()
    ]
    return provider_service_pb2.ExecuteResponse(
        answer=provider_service_pb2.Answer(body=body, headers=told)
    )


def failing(kind: str, **fields: Any) -> Any:
    return provider_service_pb2.ExecuteResponse(failure=failure(kind, **fields))


def failure(kind: str, *, retry_after: float | None = None, **fields: Any) -> Any:
    message = provider_service_pb2.Failure(
        kind=f"FAILURE_KIND_{kind.upper()}",  # type: ignore[arg-type]
        **({"message": f"it met {kind}"} | fields),
    )
    if retry_after is not None:
        message.retry_after.FromNanoseconds(int(retry_after * 1e9))
    return message


def head(**headers: str) -> Any:
    told = [
        provider_service_pb2.Header(name=name.replace("_", "-"), value=value)
        for name, value in headers.items()
    ]
    return provider_service_pb2.StreamExecuteResponse(
        head=provider_service_pb2.StreamHead(headers=told)
    )


def chunk(data: bytes) -> Any:
    return provider_service_pb2.StreamExecuteResponse(chunk=data)


def done() -> Any:
    return provider_service_pb2.StreamExecuteResponse(done={})


def broken(kind: str, **fields: Any) -> Any:
    return provider_service_pb2.StreamExecuteResponse(failure=failure(kind, **fields))


def model(name: str, *providers: str, **fields: Any) -> Model:
    """A model with a target at each provider, tried in order, without pauses."""
    values: dict[str, Any] = {
        "targets": tuple(Target(provider, f"{name}-at-{provider}") for provider in providers),
        "strategy": "priority",
        "retries": Retries(attempts=3, backoff_initial_seconds=0),
    }
    return Model(name, **(values | fields))


def snapshot(*models: Model, stale_for: float = 30.0, revision: str = "r1") -> Snapshot:
    return Snapshot(
        revision, models={model.name: model for model in models}, auth=AuthOptions(stale_for)
    )


def arrival(
    credential: str | None = KEY, address: str = "192.0.2.1", seconds: float = 600.0
) -> Arrival:
    return Arrival(credential, address, "r-1", "", "Test.Call", Deadline.after(seconds))


def question(seconds: float = 600.0) -> Question:
    everyone = Principal("alice", False, frozenset({"*"}), False, None)
    return Question(arrival(seconds=seconds), everyone, RequestHead("m"), 1, b"{}", "r1")


async def until(condition: Any) -> None:
    """Wait for something that will come true by itself."""
    async with asyncio.timeout(BOUND_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


def channel_to(implementation: Implementation) -> InProcessChannel:
    """A channel to a fake in this process."""
    return InProcessChannel(methods_of(implementation), IDENTITY.metadata())


def methods_of(implementation: Implementation) -> list[Method]:
    """What a process serves that hosts a fake; what the fake lacks is in its `lacks`."""
    name = implementation.descriptor.name.removesuffix("Service").lower()
    lacks = getattr(implementation.servicer, "lacks", ())
    instance = InstanceServicer()
    instance.add(Service(name, (implementation,), lacks=lambda: lacks))
    return [
        *intercepted(implementation, IDENTITY),
        *intercepted(instance.implementation(), IDENTITY),
    ]
