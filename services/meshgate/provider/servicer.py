"""ProviderService: proto to attempts and back."""

import base64
import binascii
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import aclosing
from functools import lru_cache
from typing import Any

from meshgate.config.snapshot import Snapshot
from meshgate.dialects.meshgate_chat.usage import set_usage, write_finish_reason, write_usage
from meshgate.provider.attempt import Answer, Attempt, Headers, Step, StreamHead, Timings
from meshgate.provider.execution import Execution
from meshgate.provider.failures import Failure, FailureKind
from meshgate.provider.phases import UNBOUNDED, PhaseTimeouts
from meshgate.provider.sessions import Sessions
from meshgate.provider.targets import TargetHealth, TargetName, Targets, TargetStatus
from meshgate.runtime.deadline import Deadline
from meshgate.runtime.duration import duration, seconds_of, set_duration
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import provider_service_pb2 as pb
from meshgate.v1.provider_service_pb2_grpc import ProviderServiceServicer

Files = AsyncIterator[bytes]

DEFAULT_PAGE_SIZE = 100
MAXIMUM_PAGE_SIZE = 1000
# What is left for the failure itself to reach the caller before the deadline does.
_RETURN_SECONDS = 0.02

_DIALECTS: dict[int, str] = {
    number: name.removeprefix("DIALECT_").lower() for name, number in pb.Dialect.items() if number
}
_KINDS = {kind: pb.FailureKind.Value(f"FAILURE_KIND_{kind.name}") for kind in FailureKind}
_HEALTH = {health: pb.TargetHealth.Value(f"TARGET_HEALTH_{health.name}") for health in TargetHealth}


class ProviderServicer(ProviderServiceServicer):
    """Makes attempts, and tells how upstreams fare.

    Args:
        execution: Makes the attempts.
        targets: Remembers how they went.
        snapshot: Gives the present configuration.
    """

    def __init__(
        self, execution: Execution, targets: Targets, snapshot: Callable[[], Snapshot]
    ) -> None:
        self._execution = execution
        self._targets = targets
        self._snapshot = snapshot
        self._sessions = Sessions(self._answer)

    async def Execute(self, request: pb.ExecuteRequest, context: Any) -> pb.ExecuteResponse:
        return await self._answer(request, Deadline.from_context(context))

    async def SubmitExecutes(
        self, request: pb.SubmitExecutesRequest, context: Any
    ) -> pb.SubmitExecutesResponse:
        self._sessions.submit(request.session_id, request.items)
        return pb.SubmitExecutesResponse()

    async def CancelExecutes(
        self, request: pb.CancelExecutesRequest, context: Any
    ) -> pb.CancelExecutesResponse:
        self._sessions.cancel(request.session_id, request.tickets)
        return pb.CancelExecutesResponse()

    async def WatchResults(
        self, request: pb.WatchResultsRequest, context: Any
    ) -> AsyncIterator[pb.WatchResultsResponse]:
        async with aclosing(self._sessions.results(request.session_id)) as batches:
            async for results in batches:
                yield pb.WatchResultsResponse(results=results)

    def drain(self) -> None:
        """Let each session end after its last result."""
        self._sessions.drain()

    async def _answer(
        self, request: pb.ExecuteRequest, deadline: Deadline, files: Files | None = None
    ) -> pb.ExecuteResponse:
        outcome = await self._execution.answer(
            request.target.provider, _attempt(request, UNBOUNDED, deadline, files)
        )
        if isinstance(outcome, Answer):
            response = pb.ExecuteResponse()
            _write_answer(outcome, response.answer)
            return response
        return pb.ExecuteResponse(failure=_failure(outcome))

    async def StreamExecute(
        self, request: pb.StreamExecuteRequest, context: Any
    ) -> AsyncIterator[pb.StreamExecuteResponse]:
        async with aclosing(self._stream(request, Deadline.from_context(context))) as steps:
            async for step in steps:
                yield step

    async def UploadExecute(
        self, request: Any, context: Any
    ) -> AsyncIterator[pb.UploadExecuteResponse]:
        requests, deadline = aiter(request), Deadline.from_context(context)
        opening = await anext(requests, pb.UploadExecuteRequest())
        files = _files(requests)
        match opening.WhichOneof("piece"):
            case "plain":
                response = await self._answer(opening.plain, deadline, files)
                yield pb.UploadExecuteResponse(response=response)
            case "streamed":
                async with aclosing(self._stream(opening.streamed, deadline, files)) as steps:
                    async for step in steps:
                        yield pb.UploadExecuteResponse(step=step)
            case _:
                raise InvalidRequestError("the first message must open the upload", field="piece")

    async def _stream(
        self, request: pb.StreamExecuteRequest, deadline: Deadline, files: Files | None = None
    ) -> AsyncGenerator[pb.StreamExecuteResponse, None]:
        between_seconds = _phases(request).between_tokens_seconds
        attempt = _attempt(request, between_seconds, deadline, files)
        async with aclosing(self._execution.stream(request.target.provider, attempt)) as steps:
            async for step in steps:
                yield _step(step)

    async def ListTargets(
        self, request: pb.ListTargetsRequest, context: Any
    ) -> pb.ListTargetsResponse:
        size = min(max(request.page_size, 0) or DEFAULT_PAGE_SIZE, MAXIMUM_PAGE_SIZE)
        configured = _configured(self._snapshot())
        # One more than asked for tells whether there is another page.
        page = self._targets.page(configured, _read_token(request.page_token), size + 1)
        return pb.ListTargetsResponse(
            targets=[_status(status) for status in page[:size]],
            next_page_token=_token(page[size - 1].name) if len(page) > size else "",
        )


async def _files(requests: AsyncIterator[pb.UploadExecuteRequest]) -> AsyncIterator[bytes]:
    """The pieces of an upload's files."""
    async for request in requests:
        if request.WhichOneof("piece") != "chunk":
            raise InvalidRequestError("an upload is opened once", field="piece")
        if request.chunk:
            yield request.chunk


def _attempt(
    request: pb.ExecuteRequest | pb.StreamExecuteRequest,
    between_seconds: float,
    deadline: Deadline,
    files: Files | None = None,
) -> Attempt:
    dialect = _DIALECTS.get(request.dialect)
    if dialect is None:
        raise InvalidRequestError("the dialect is not a known one", field="dialect")
    if not request.target.model:
        raise InvalidRequestError("the target names no model", field="target.model")
    if request.output_cap < 0:
        raise InvalidRequestError("the output cap is negative", field="output_cap")
    phases = _phases(request)
    left_seconds = deadline.seconds_left()
    return Attempt(
        model=request.target.model,
        dialect=dialect,
        body=request.body,
        timeouts=PhaseTimeouts(
            connect_seconds=phases.connect_seconds,
            first_token_seconds=phases.first_token_seconds,
            between_tokens_seconds=between_seconds,
            total_seconds=min(
                phases.total_seconds, max(left_seconds - _RETURN_SECONDS, left_seconds / 2)
            ),
        ),
        request_id=request.context.request_id,
        traceparent=request.context.traceparent,
        output_cap=request.output_cap or None,
        headers=tuple((header.name, header.value) for header in request.headers),
        upload=files,
    )


def _phases(request: pb.ExecuteRequest | pb.StreamExecuteRequest) -> PhaseTimeouts:
    return _read_phases(request.timeouts.SerializeToString())


@lru_cache(maxsize=1024)
def _read_phases(serialized: bytes) -> PhaseTimeouts:
    """Read the message of a model's timeouts, which is the same in every request for it."""
    timeouts = pb.PhaseTimeouts.FromString(serialized)

    def seconds(phase: Any) -> float:
        return seconds_of(getattr(timeouts, phase)) if timeouts.HasField(phase) else UNBOUNDED

    return PhaseTimeouts(
        connect_seconds=seconds("connect"),
        first_token_seconds=seconds("first_token"),
        between_tokens_seconds=seconds("between_tokens"),
        total_seconds=seconds("total"),
    )


def _write_answer(answer: Answer, message: pb.Answer) -> None:
    """Field by field: what is made apart is copied once more."""
    message.body = answer.body
    message.served_model = answer.served_model
    if answer.usage is not None:
        set_usage(message.usage, answer.usage)
    message.finish_reason = write_finish_reason(answer.finish_reason)
    for name, value in answer.headers:
        message.headers.add(name=name, value=value)
    set_duration(message.timings.first_byte, answer.timings.first_byte_seconds)
    set_duration(message.timings.total, answer.timings.total_seconds)


def _step(step: Step | Failure) -> pb.StreamExecuteResponse:
    if isinstance(step, bytes):
        return pb.StreamExecuteResponse(chunk=step)
    if isinstance(step, Failure):
        return pb.StreamExecuteResponse(failure=_failure(step))
    if isinstance(step, StreamHead):
        return pb.StreamExecuteResponse(head=pb.StreamHead(headers=_headers(step.headers)))
    done = pb.StreamDone(
        served_model=step.served_model,
        usage=write_usage(step.usage),
        finish_reason=write_finish_reason(step.finish_reason),
        timings=_timings(step.timings),
    )
    return pb.StreamExecuteResponse(done=done)


def _failure(failure: Failure) -> pb.Failure:
    seconds = failure.retry_after_seconds
    return pb.Failure(
        kind=_KINDS[failure.kind],
        upstream_status=failure.upstream_status,
        retry_after=None if seconds is None else duration(seconds),
        message=failure.message,
        code=failure.code,
        field=failure.field,
        usage=write_usage(failure.usage),
        timings=pb.Timings(total=duration(failure.seconds)),
    )


def _headers(headers: Headers) -> list[pb.Header]:
    return [pb.Header(name=name, value=value) for name, value in headers]


def _timings(timings: Timings) -> pb.Timings:
    return pb.Timings(
        first_byte=duration(timings.first_byte_seconds), total=duration(timings.total_seconds)
    )


def _configured(snapshot: Snapshot) -> Iterable[TargetName]:
    return {
        TargetName(target.provider, target.model)
        for model in snapshot.models.values()
        for target in model.targets
    }


def _status(status: TargetStatus) -> pb.TargetStatus:
    return pb.TargetStatus(
        target=pb.Target(provider=status.name.provider, model=status.name.model),
        health=_HEALTH[status.health],
        last_failure=(
            pb.FAILURE_KIND_UNSPECIFIED
            if status.last_failure is None
            else _KINDS[status.last_failure]
        ),
    )


def _token(name: TargetName) -> str:
    return base64.urlsafe_b64encode("\0".join(name).encode()).decode()


def _read_token(token: str) -> TargetName | None:
    if not token:
        return None
    try:
        provider, model = base64.urlsafe_b64decode(token.encode()).decode().split("\0")
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestError("the page token is none", field="page_token") from error
    return TargetName(provider, model)
