"""Running a request at an upstream: the caller's side of ProviderService."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import grpc
import structlog
from msgspec import Struct

from meshgate.config.snapshot import Target, Timeouts
from meshgate.dialects.meshgate_chat.usage import read_usage
from meshgate.dialects.neutral import Usage
from meshgate.routing.arrival import new_context
from meshgate.routing.failure import Failure
from meshgate.routing.peers.sessions import Sessions
from meshgate.routing.peers.uploads import Uploads
from meshgate.routing.planning import Plan
from meshgate.routing.question import Question
from meshgate.runtime.channel import RemoteChannel
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.duration import duration, seconds_of
from meshgate.runtime.errors import (
    DeadlineExceededError,
    GatewayError,
    MeshIdentityError,
    RevisionBehindError,
    ServiceUnavailableError,
    UnsupportedError,
)
from meshgate.runtime.status import error_of_call
from meshgate.v1 import provider_service_pb2 as pb
from meshgate.v1 import provider_service_pb2_grpc as rpc

_log = structlog.get_logger("meshgate.routing")

Headers = tuple[tuple[str, str], ...]

Execute = Callable[..., Awaitable[pb.ExecuteResponse]]

_END_SECONDS = 1.0
_MOST_KINDS = 10_000

# A provider that is newer than this may know more kinds.
_KINDS = {
    number: name.removeprefix("FAILURE_KIND_").lower() for name, number in pb.FailureKind.items()
}


class PlainAnswer(Struct, frozen=True):
    """A whole answer, in the caller's dialect.

    `usage` is None where the upstream did not report any, `upstream_seconds` where provider does not
    say how long it took.
    """

    body: bytes
    headers: Headers
    usage: Usage | None = None
    served_model: str = ""
    upstream_seconds: float | None = None


class StreamedAnswer(Struct, frozen=True):
    """The good beginning of an answer."""

    headers: Headers
    chunks: "Chunks"


class Providers:
    """Makes attempts by way of ProviderService.

    Args:
        channel: To provider.
    """

    def __init__(self, channel: Any) -> None:
        self._stub: Any = rpc.ProviderServiceStub(channel)
        self._uploads = Uploads(self._stub)
        self._sessions = Sessions(channel) if isinstance(channel, RemoteChannel) else None
        self._execute: Execute = self._sessions.execute if self._sessions else self._stub.Execute
        self._plain = _Requests(pb.ExecuteRequest)
        self._streamed = _Requests(pb.StreamExecuteRequest)

    async def execute(
        self, question: Question, plan: Plan, target: Target
    ) -> PlainAnswer | Failure:
        """One attempt at a plain answer."""
        seconds_left = question.arrival.deadline.seconds_left(plan.model.timeouts.total_seconds)
        request = self._plain.request(question, plan, target)
        try:
            if question.upload is None:
                response = await self._execute(request, timeout=seconds_left)
            else:
                response = await self._uploads.execute(request, question.upload, seconds_left)
        except grpc.aio.AioRpcError as error:
            return _mesh_failure(error_of_call(error, "provider"), target)
        except GatewayError as error:
            return _mesh_failure(error, target)
        match response.WhichOneof("outcome"):
            case "answer":
                answer = response.answer
                return PlainAnswer(
                    answer.body,
                    _headers(answer.headers),
                    _usage(answer),
                    answer.served_model,
                    _upstream_seconds(answer),
                )
            case "failure":
                return _failure(response.failure, target.provider)
        return _nonsense(target.provider)

    async def stream(
        self, question: Question, plan: Plan, target: Target
    ) -> StreamedAnswer | Failure:
        """One attempt at a streamed answer, up to its good beginning."""
        seconds_left = question.arrival.deadline.seconds_left(plan.model.timeouts.total_seconds)
        request = self._streamed.request(question, plan, target)
        try:
            call: Any
            if question.upload is None:
                call = self._stub.StreamExecute(request, timeout=seconds_left)
            else:
                call = self._uploads.stream(request, question.upload, seconds_left)
            steps = aiter(call)
            step = await anext(steps, None)
        except grpc.aio.AioRpcError as error:
            return _mesh_failure(error_of_call(error, "provider"), target)
        if step is not None and step.HasField("head"):
            chunks = Chunks(call, steps, plan.model.name, target.provider)
            return StreamedAnswer(_headers(step.head.headers), chunks)
        await _end(call, steps)
        if step is None:
            return Failure("connection", target.provider, message="the answer never began")
        if step.HasField("failure"):
            return _failure(step.failure, target.provider)
        return _nonsense(target.provider)

    async def list_targets(self, timeout_seconds: float) -> list[pb.TargetStatus]:
        """How the upstreams fare.

        Raises:
            GatewayError: The service does not say.
        """
        deadline = Deadline.after(timeout_seconds)  # for all pages together
        targets: list[pb.TargetStatus] = []
        page_token = ""
        try:
            while True:
                request = pb.ListTargetsRequest(page_size=1000, page_token=page_token)
                response = await self._stub.ListTargets(request, timeout=deadline.seconds_left())
                targets += response.targets
                page_token = response.next_page_token
                if not page_token:
                    return targets
        except grpc.aio.AioRpcError as error:
            raise error_of_call(error, "provider") from None

    async def close(self) -> None:
        """Cut off what is in flight."""
        if self._sessions is not None:
            await self._sessions.close()


_Request = TypeVar("_Request", pb.ExecuteRequest, pb.StreamExecuteRequest)
_Kind = tuple[str, str, int, str, str, str]
"""Principal, configuration, dialect, model, and the target's provider and model."""


class _Requests(Generic[_Request]):
    """Writes attempts of one RPC.

    What the attempts of a principal at a target have in common is written once and copied, which
    takes a third of the time.
    """

    def __init__(self, message_type: type[_Request]) -> None:
        self._message_type: Any = message_type
        self._common: OrderedDict[_Kind, _Request] = OrderedDict()

    def request(self, question: Question, plan: Plan, target: Target) -> _Request:
        request: _Request = self._message_type()
        request.CopyFrom(self._common_of(question, plan, target))
        question.arrival.describe(request.context)
        request.body = question.body
        for name, value in question.arrival.told_headers:
            request.headers.add(name=name, value=value)
        if question.output_cap is not None:
            request.output_cap = question.output_cap
        return request

    def _common_of(self, question: Question, plan: Plan, target: Target) -> _Request:
        principal_id = question.principal.principal_id
        kind = (
            principal_id,
            question.revision,
            question.dialect,
            plan.model.name,
            target.provider,
            target.model,
        )
        request = self._common.get(kind)
        if request is None:
            request = self._common[kind] = self._message_type(
                context=new_context(principal_id, question.revision),
                target=pb.Target(provider=target.provider, model=target.model),
                dialect=question.dialect,
                timeouts=_phase_timeouts(plan.model.timeouts),
            )
            if len(self._common) > _MOST_KINDS:
                self._common.popitem(last=False)
        return request


def _phase_timeouts(timeouts: Timeouts) -> pb.PhaseTimeouts:
    return pb.PhaseTimeouts(
        connect=duration(timeouts.connect_seconds),
        first_token=duration(timeouts.first_token_seconds),
        between_tokens=duration(timeouts.between_tokens_seconds),
        total=duration(timeouts.total_seconds),
    )


class Chunks:
    """What follows the good beginning of an answer.

    Ends when the answer is whole, or raises a GatewayError when it will never be. Closing it early
    cancels the upstream's work.

    Attributes:
        usage: What the upstream reported, as soon as it did.
        served_model: The model that answered, as the upstream names it; known at the end.
        upstream_seconds: How long the upstream took; known at the end.
    """

    def __init__(self, call: Any, steps: Any, model: str, provider: str) -> None:
        self._call = call
        self._steps = steps
        self._model = model
        self._provider = provider
        self._empty = True
        self.usage: Usage | None = None
        self.served_model = ""
        self.upstream_seconds: float | None = None

    def __aiter__(self) -> "Chunks":
        return self

    async def __anext__(self) -> bytes:
        while True:
            try:
                step = await anext(self._steps, None)
            except grpc.aio.AioRpcError as error:
                raise error_of_call(error, "provider") from None
            if step is None:
                cut = Failure("connection", self._provider, message="the answer was cut")
                raise cut.as_error(self._model)
            match step.WhichOneof("step"):
                case "chunk" if step.chunk:
                    self._empty = False
                    chunk: bytes = step.chunk
                    return chunk
                case "chunk":
                    continue  # nothing that a client could see has come
                case "failure":
                    self.usage = _usage(step.failure)
                    raise _failure(step.failure, self._provider).as_error(self._model)
                case "done" if not self._empty:
                    self.usage = _usage(step.done)
                    self.served_model = step.done.served_model
                    self.upstream_seconds = _upstream_seconds(step.done)
                    await _end(self._call, self._steps)
                    raise StopAsyncIteration
            raise _nonsense(self._provider).as_error(self._model)

    async def aclose(self) -> None:
        """Give up what is still to come."""
        self._call.cancel()
        await self._steps.aclose()


async def _end(call: Any, steps: Any) -> None:
    """Let a call end whose last step has come, so that it ends well; cut it off if it goes on."""
    with suppress(grpc.aio.AioRpcError, TimeoutError):
        async with asyncio.timeout(_END_SECONDS):
            await anext(steps, None)
    call.cancel()
    await steps.aclose()


def _nonsense(provider: str) -> Failure:
    return Failure("server_error", provider, message="the answer cannot be understood")


def _mesh_failure(error: GatewayError, target: Target) -> Failure:
    """A failure of the mesh itself, or of what the target can do: another may do better.

    Raises:
        GatewayError: Nobody would do better.
    """
    if isinstance(error, ServiceUnavailableError | RevisionBehindError):
        error.retry_after_seconds = error.retry_after_seconds or 1  # as with every 503
        return Failure("connection", target.provider, error=error)
    if isinstance(error, DeadlineExceededError):
        return Failure(
            "timeout", target.provider, message="no answer came within the time of the request"
        )
    if isinstance(error, UnsupportedError):
        return Failure("unsupported", target.provider, error=error)
    if isinstance(error, MeshIdentityError):
        # It is the mesh that is set up wrong: the client's own credential is a good one.
        _log.error("provider refused a call", reason=error.reason)
        raise GatewayError("internal error")
    raise error


def _failure(failure: pb.Failure, provider: str) -> Failure:
    retry_after = seconds_of(failure.retry_after) if failure.HasField("retry_after") else None
    return Failure(
        kind=_KINDS.get(failure.kind, "unspecified"),
        provider=provider,
        upstream_status=failure.upstream_status,
        retry_after_seconds=retry_after,
        message=failure.message,
        code=failure.code,
        field=failure.field,
        usage=_usage(failure),
        upstream_seconds=_upstream_seconds(failure) or 0.0,
    )


def _upstream_seconds(message: Any) -> float | None:
    """How long the upstream took, if provider says so."""
    return seconds_of(message.timings.total) if message.HasField("timings") else None


def _usage(message: Any) -> Usage | None:
    """What an answer or a failure says was consumed, if it does."""
    return read_usage(message.usage) if message.HasField("usage") else None


def _headers(headers: Any) -> Headers:
    return tuple((header.name, header.value) for header in headers)
