"""Sessions: plain attempts that are started in batches and told in one stream of results."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from functools import partial

import grpc
import structlog

from meshgate.runtime.cancellation import being_cancelled
from meshgate.runtime.deadline import DEFAULT_SECONDS, Deadline
from meshgate.runtime.duration import seconds_of
from meshgate.runtime.errors import (
    GatewayError,
    InvalidRequestError,
    ServiceUnavailableError,
)
from meshgate.runtime.interception import durations_of
from meshgate.runtime.limits import MIB
from meshgate.runtime.status import status_of
from meshgate.runtime.telemetry import described
from meshgate.v1 import provider_service_pb2 as pb

_log = structlog.get_logger("meshgate.provider")

HEARTBEAT_SECONDS = 2.0
# Results that are larger than this together go one after the other.
_MOST_BYTES = MIB
_MOST_IN_FLIGHT = 10_000

Answer = Callable[[pb.ExecuteRequest, Deadline], Awaitable[pb.ExecuteResponse]]
Results = Sequence[pb.ExecuteResult]


class Sessions:
    """The sessions of this instance, each for as long as somebody reads its results.

    Args:
        answer: Makes one attempt; a GatewayError is what refuses it.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._sessions: dict[str, _Session] = {}
        self._draining = False

    async def results(self, session_id: str) -> AsyncGenerator[Results, None]:
        """Open a session and give what comes of its requests; nothing, to say that it lives.

        What is left of the requests when this is closed is cancelled.

        Raises:
            InvalidRequestError: The session has no name, or one that is in use.
        """
        if not session_id or session_id in self._sessions:
            raise InvalidRequestError("the session needs a name of its own", field="session_id")
        session = self._sessions[session_id] = _Session(self._answer)
        if self._draining:
            session.drain()
        try:
            yield ()
            while (results := await session.next()) is not None:
                yield results
        finally:
            del self._sessions[session_id]
            session.close()

    def submit(self, session_id: str, items: Iterable[pb.ExecuteItem]) -> None:
        """Start requests; those whose tickets are not new are running already.

        Raises:
            ServiceUnavailableError: There is no such session: its results would reach nobody.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise ServiceUnavailableError(
                "the session has ended", retry_after_seconds=1, service="provider"
            )
        session.submit(items)

    def cancel(self, session_id: str, tickets: Iterable[int]) -> None:
        """Cancel requests, whose results never come then."""
        session = self._sessions.get(session_id)
        if session is not None:
            session.cancel(tickets)

    def drain(self) -> None:
        """Let each session end after its last result."""
        self._draining = True
        for session in self._sessions.values():
            session.drain()


class _Session:
    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._durations = durations_of("meshgate.v1.ProviderService", "Execute")
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._results: list[pb.ExecuteResult] = []
        self._highest_ticket = 0
        self._draining = False
        self._awaited: asyncio.Future[None] | None = None

    def submit(self, items: Iterable[pb.ExecuteItem]) -> None:
        for item in items:
            ticket = item.ticket
            if ticket <= self._highest_ticket:
                continue
            self._highest_ticket = ticket
            if len(self._tasks) >= _MOST_IN_FLIGHT:
                self._refuse(ticket, _too_many())
                continue
            task = asyncio.create_task(self._run(ticket, item.request))
            self._tasks[ticket] = task
            # Not at the end of the coroutine: one that is cancelled before it begins has no end.
            task.add_done_callback(partial(self._ended, ticket))

    def cancel(self, tickets: Iterable[int]) -> None:
        for ticket in tickets:
            task = self._tasks.get(ticket)
            if task is not None:
                task.cancel()

    def drain(self) -> None:
        self._draining = True
        self._wake()

    def close(self) -> None:
        self.cancel(self._tasks)

    async def next(self) -> Results | None:
        """What has ended since; nothing after a while in which nothing did; None at the end."""
        if not self._results:
            if self._draining and not self._tasks:
                return None
            await self._something()
        return self._taken()

    async def _something(self) -> None:
        loop = asyncio.get_running_loop()
        self._awaited = loop.create_future()
        timer = loop.call_later(HEARTBEAT_SECONDS, self._wake)
        try:
            await self._awaited
        finally:
            self._awaited = None
            timer.cancel()

    def _wake(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)

    def _taken(self) -> Results:
        """The results that go into one message: all, or the first that are not too large."""
        results, self._results = self._results, []
        size = 0
        for count, result in enumerate(results):
            size += len(result.response.answer.body)
            if size > _MOST_BYTES and count:
                self._results = results[count:]
                return results[:count]
        return results

    async def _run(self, ticket: int, request: pb.ExecuteRequest) -> None:
        started = time.perf_counter()
        code = grpc.StatusCode.OK
        try:
            response = await self._answer(request, _deadline(request))
            self._tell(pb.ExecuteResult(ticket=ticket, response=response))
        except GatewayError as error:
            code = grpc.StatusCode[error.code]
            self._refuse(ticket, error)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and being_cancelled():
                code = grpc.StatusCode.CANCELLED
                raise
            code = grpc.StatusCode.INTERNAL
            request_id = request.context.request_id
            _log.error("unexpected exception", request_id=request_id, **described(error))
            self._refuse(ticket, GatewayError("internal error"))
        finally:
            self._durations[code].observe(time.perf_counter() - started)

    def _refuse(self, ticket: int, error: GatewayError) -> None:
        self._tell(pb.ExecuteResult(ticket=ticket, refusal=status_of(error)))

    def _tell(self, result: pb.ExecuteResult) -> None:
        self._results.append(result)
        self._wake()

    def _ended(self, ticket: int, _task: object) -> None:
        del self._tasks[ticket]
        if self._draining:
            self._wake()


def _deadline(request: pb.ExecuteRequest) -> Deadline:
    """When the caller stops waiting: for the request, or for this attempt."""
    bounds = [DEFAULT_SECONDS]
    if request.context.HasField("timeout"):
        bounds.append(seconds_of(request.context.timeout))
    if request.timeouts.HasField("total"):
        bounds.append(seconds_of(request.timeouts.total))
    return Deadline.after(min(bounds))


def _too_many() -> GatewayError:
    return ServiceUnavailableError(
        "the provider service has too much to do", retry_after_seconds=1, service="provider"
    )
