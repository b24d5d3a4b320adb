"""Plain attempts in batches: one session with each instance of provider, and one stream of results.

A call for each attempt costs the most of what routing does for it. Here what gathers while one
submit is in flight goes out as the next, and results that come together are read together.
"""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, cast

import grpc
import structlog

from meshgate.runtime.cancellation import being_cancelled
from meshgate.runtime.channel import Instance, RemoteChannel
from meshgate.runtime.errors import (
    DeadlineExceededError,
    GatewayError,
    MeshIdentityError,
    ServiceUnavailableError,
)
from meshgate.runtime.status import error_of, error_of_call
from meshgate.runtime.telemetry import described
from meshgate.v1 import provider_service_pb2 as pb
from meshgate.v1 import provider_service_pb2_grpc as rpc

_log = structlog.get_logger("meshgate.routing")

MOST_IN_FLIGHT = 4000
_MOST_ITEMS = 256
# What is larger goes by itself, so that it holds up no other request.
_MOST_BATCHED_BYTES = 64 * 1024
_SUBMIT_SECONDS = 5.0
# Of its heartbeats, which come every two seconds.
_SILENCE_SECONDS = 10.0
_UNKNOWN_SECONDS = 30.0

_Waiter = asyncio.Future[pb.ExecuteResponse]


class _SessionsUnknownError(Exception):
    """This instance of provider is of a version that knows no sessions."""


class Sessions:
    """Makes plain attempts, each at the instance with the fewest in flight.

    Args:
        channel: To provider.
        quiet: How many may be in flight at an instance for one more to go by a call of its own,
            which costs more and is quicker.
    """

    def __init__(self, channel: RemoteChannel, quiet: int = 0) -> None:
        self._channel = channel
        self._quiet = quiet
        self._stub: Any = rpc.ProviderServiceStub(cast("grpc.aio.Channel", channel))
        self._sessions: dict[Instance, _Session] = {}

    async def execute(self, request: pb.ExecuteRequest, timeout: float) -> pb.ExecuteResponse:  # noqa: ASYNC109 - as a stub's
        """What came of an attempt. Whoever gives up on it cancels the upstream's work.

        Raises:
            AioRpcError: Provider refused it, did not answer in time, or does not answer.
            GatewayError: The same, of an attempt in a session.
        """
        instance = self._channel.pick()
        if instance.in_flight > self._quiet and len(request.body) <= _MOST_BATCHED_BYTES:
            with suppress(_SessionsUnknownError):
                return await self._in_session(instance, request, timeout)
        alone = self._stub.Execute(request, timeout=timeout, instance=instance)
        response: pb.ExecuteResponse = await alone
        return response

    async def _in_session(
        self, instance: Instance, request: pb.ExecuteRequest, timeout_seconds: float
    ) -> pb.ExecuteResponse:
        session = self._sessions.get(instance)
        if session is None:
            session = self._sessions[instance] = _Session(instance, self._forget)
        instance.took()
        try:
            return await session.execute(request, timeout_seconds)
        finally:
            instance.landed()

    async def close(self) -> None:
        """Cut off what is in flight."""
        await asyncio.gather(*(session.close() for session in list(self._sessions.values())))

    def _forget(self, session: "_Session") -> None:
        """The next attempt there begins anew."""
        if self._sessions.get(session.instance) is session:
            del self._sessions[session.instance]


class _Session:
    """One session, from its first attempt until its stream ends."""

    def __init__(self, instance: Instance, ended: Callable[["_Session"], None]) -> None:
        self.instance = instance
        self._ended = ended
        self._stub: Any = rpc.ProviderServiceStub(cast("grpc.aio.Channel", instance))
        self._id = secrets.token_hex(16)
        self._tickets = itertools.count(1)
        self._queue: dict[int, pb.ExecuteItem] = {}
        self._waiting: dict[int, _Waiter] = {}
        self._left: list[int] = []
        self._is_open = False
        self._known = True
        self._flight: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._stream: Any = None
        self._heard_at = self._loop.time()
        self._silence = self._loop.call_later(_SILENCE_SECONDS, self._listen)
        self._reading = asyncio.create_task(self._read(), name="provider results")

    async def execute(
        self, request: pb.ExecuteRequest, timeout_seconds: float
    ) -> pb.ExecuteResponse:
        if not self._known:
            raise _SessionsUnknownError
        ticket = next(self._tickets)
        waiter: _Waiter = self._loop.create_future()
        self._waiting[ticket] = waiter
        self._queue[ticket] = pb.ExecuteItem(ticket=ticket, request=request)
        timer = self._loop.call_later(timeout_seconds, _expire, waiter)
        self._set_off()
        try:
            return await waiter
        finally:
            timer.cancel()
            if self._waiting.pop(ticket, None) is not None:
                self._leave(ticket)

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])
        self._end(_away())  # again, unless it was cancelled before it began

    def _leave(self, ticket: int) -> None:
        """Nobody waits for this one any longer."""
        if self._queue.pop(ticket, None) is None:
            self._left.append(ticket)
        self._set_off()

    def _set_off(self) -> None:
        """Send what there is, unless something is in flight; then it goes next."""
        if self._is_open and self._flight is None and self._has_work():
            self._flight = asyncio.create_task(self._fly(), name="provider batch")

    def _has_work(self) -> bool:
        return bool(self._left) or bool(self._queue and self._room() > 0)

    def _room(self) -> int:
        return MOST_IN_FLIGHT - (len(self._waiting) - len(self._queue))

    async def _fly(self) -> None:
        try:
            while self._has_work():
                # First, for what has left may be of the submit before.
                if self._left:
                    await self._cancel()
                if self._queue:
                    await self._submit()
        finally:
            self._flight = None

    async def _submit(self) -> None:
        most = min(_MOST_ITEMS, self._room())
        batch = list(itertools.islice(self._queue.values(), max(most, 0)))
        if not batch:
            return
        for item in batch:
            del self._queue[item.ticket]
        request = pb.SubmitExecutesRequest(session_id=self._id, items=batch)
        try:
            await self._stub.SubmitExecutes(request, timeout=_SUBMIT_SECONDS)
        except grpc.aio.AioRpcError as error:
            # Some may have been started all the same.
            self._left += [item.ticket for item in batch]
            self._fail([item.ticket for item in batch], _broken(error))

    async def _cancel(self) -> None:
        tickets, self._left = self._left, []
        request = pb.CancelExecutesRequest(session_id=self._id, tickets=tickets)
        try:
            await self._stub.CancelExecutes(request, timeout=_SUBMIT_SECONDS)
        except grpc.aio.AioRpcError as error:
            _log.debug("attempts could not be cancelled", code=error.code().name)

    async def _read(self) -> None:
        error: Exception = _away()
        try:
            await self._follow()
        except grpc.aio.AioRpcError as broken:
            if broken.code() == grpc.StatusCode.UNIMPLEMENTED:
                error = _SessionsUnknownError()
                self._known = False
            else:
                error = _broken(broken)
        except asyncio.CancelledError:
            # A call is cut off like this too, when its instance is no longer listed.
            if being_cancelled():
                raise
        except Exception as unexpected:
            _log.error("results cannot be read", **described(unexpected))
        finally:
            self._end(error)

    async def _follow(self) -> None:
        request = pb.WatchResultsRequest(session_id=self._id)
        # Without a deadline: its silence tells when it is dead.
        self._stream = self._stub.WatchResults(request, timeout=None)
        async for message in self._stream:
            self._heard_at = self._loop.time()
            self._is_open = True
            for result in message.results:
                self._settle(result)
            self._set_off()

    def _settle(self, result: pb.ExecuteResult) -> None:
        waiter = self._waiting.pop(result.ticket, None)
        if waiter is None or waiter.done():
            return
        if result.HasField("refusal"):
            waiter.set_exception(error_of(result.refusal, "provider"))
        else:
            waiter.set_result(result.response)

    def _listen(self) -> None:
        """Give up on a stream that has fallen silent."""
        silent_seconds = self._loop.time() - self._heard_at
        if silent_seconds >= _SILENCE_SECONDS and self._stream is not None:
            self._stream.cancel()
            return
        self._silence = self._loop.call_later(
            max(_SILENCE_SECONDS - silent_seconds, 1.0), self._listen
        )

    def _end(self, error: Exception) -> None:
        self._is_open = False
        self._silence.cancel()
        if self._flight is not None:
            self._flight.cancel()
        self._queue.clear()
        self._fail(list(self._waiting), error)
        self._left.clear()
        if self._known:
            self._ended(self)
        else:
            # It may be replaced by a newer one at the same address.
            self._loop.call_later(_UNKNOWN_SECONDS, self._ended, self)

    def _fail(self, tickets: Iterable[int], error: Exception) -> None:
        for ticket in tickets:
            waiter = self._waiting.pop(ticket, None)
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)


def _expire(waiter: _Waiter) -> None:
    if not waiter.done():
        waiter.set_exception(
            DeadlineExceededError("the provider service did not answer in time", service="provider")
        )


def _broken(call: grpc.aio.AioRpcError) -> GatewayError:
    """Why nobody will answer: another instance may, unless the mesh is set up wrong."""
    error = error_of_call(call, "provider")
    return error if isinstance(error, MeshIdentityError) else _away()


def _away() -> ServiceUnavailableError:
    return ServiceUnavailableError(
        "the provider service does not answer", retry_after_seconds=1, service="provider"
    )
