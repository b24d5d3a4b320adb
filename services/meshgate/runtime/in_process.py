"""A channel to services in this process: the same contract, without the wire.

Generated stubs work over it, and no caller can tell: handlers run behind the same interceptor,
deadlines are kept, failures are the same `AioRpcError`, each side has its own copy of a message,
and abandoned streams are closed. A call runs in the task that awaits or iterates over it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from types import TracebackType
from typing import Any, NoReturn

import grpc
import structlog

from meshgate.runtime.context import LocalContext, Metadata
from meshgate.runtime.deadline import DEFAULT_SECONDS
from meshgate.runtime.service import Method
from meshgate.runtime.telemetry import described

_log = structlog.get_logger("meshgate.server")

_PEER = "in-process"


class InProcessChannel:
    """A channel to the methods of services that live in this process."""

    def __init__(self, methods: Iterable[Method], metadata: Metadata) -> None:
        self._methods = {method.path: method for method in methods}
        self._metadata = tuple(metadata)

    serving_count = 1
    instance_count = 1

    def unary_unary(self, path: str, **_: Any) -> Callable[..., "_PlainCall"]:
        method = self._methods[path]

        def call(
            request: Any, *, timeout: float = DEFAULT_SECONDS, metadata: Metadata = ()
        ) -> _PlainCall:
            return _PlainCall(method, request, timeout, (*metadata, *self._metadata))

        return call

    def unary_stream(self, path: str, **_: Any) -> Callable[..., "_StreamCall"]:
        method = self._methods[path]

        def call(
            request: Any, *, timeout: float = DEFAULT_SECONDS, metadata: Metadata = ()
        ) -> _StreamCall:
            return _StreamCall(method, request, timeout, (*metadata, *self._metadata))

        return call

    async def close(self) -> None:
        """Nothing is held."""


class _Call:
    """What plain and streamed calls share: context, deadline, and how failures are told.

    One timer bounds the whole call. Enter the call around every wait for the handler, and only
    there: the timer and `cancel` reach the task that waits.
    """

    def __init__(
        self, method: Method, request: Any, timeout_seconds: float, metadata: Metadata
    ) -> None:
        self._method = method
        self._request = _copy(method.request_type, request)
        self._context = LocalContext(metadata, timeout_seconds, _PEER)
        self._at = time.monotonic() + timeout_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._cancelled = False
        self._late = False
        self._interrupted = False

    def cancel(self) -> bool:
        """Give the call up; whoever awaits it gets CancelledError."""
        self._cancelled = True
        if self._waiter is not None:
            self._waiter.cancel()
        return True

    def __enter__(self) -> None:
        if self._cancelled:
            raise asyncio.CancelledError
        if self._late:
            self._raise_late()
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(max(0.0, self._at - time.monotonic()), self._expire)
        self._waiter = waiter = asyncio.current_task(loop)
        if waiter is not None:
            self._cancelling = waiter.cancelling()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        waiter, self._waiter = self._waiter, None
        if self._interrupted and waiter is not None:
            self._interrupted = False
            only_late = waiter.uncancel() <= self._cancelling
            if only_late and kind is asyncio.CancelledError:
                self._raise_late()
        if kind is grpc.aio.AbortError:
            context = self._context
            raise _error(context.status_code, context.status_details, context.trailing) from None

    def _expire(self) -> None:
        self._late = True
        if self._waiter is not None:
            self._interrupted = True
            self._waiter.cancel()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _answered(self, response: Any) -> Any:
        try:
            return _copy(self._method.response_type, response)
        except TypeError as error:
            _log.error("answer cannot be sent", method=self._method.path, **described(error))
        raise _error(grpc.StatusCode.INTERNAL, "internal error", ())

    @staticmethod
    def _raise_late() -> NoReturn:
        raise _error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", ()) from None


class _PlainCall(_Call):
    def __await__(self) -> Generator[Any, None, Any]:
        return self._run().__await__()

    async def _run(self) -> Any:
        try:
            with self:
                response = await self._method.handler(self._request, self._context)
        finally:
            if self._timer is not None:
                self._timer.cancel()
        return self._answered(response)


class _StreamCall(_Call):
    def __aiter__(self) -> AsyncIterator[Any]:
        return self._responses()

    async def _responses(self) -> AsyncIterator[Any]:
        responses = self._method.handler(self._request, self._context)
        try:
            while True:
                with self:
                    response = await anext(responses, None)
                if response is None:
                    return
                yield self._answered(response)
        finally:
            self._end()
            await responses.aclose()


def _copy(message_type: type[Any], message: Any) -> Any:
    """Sent messages are the receiver's own: what either side changes, the other never sees."""
    copy = message_type()
    copy.CopyFrom(message)
    return copy


def _error(code: grpc.StatusCode | None, details: str, trailing: Metadata) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        code or grpc.StatusCode.UNKNOWN,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(*trailing),
        details=details,
    )
