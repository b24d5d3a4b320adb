"""A channel to services in this process: the same contract, without the wire.

Generated stubs work over it, and no caller can tell: handlers run behind the same interceptor,
deadlines are kept, failures are the same `AioRpcError`, each side has its own copy of a message,
and abandoned streams are closed. A call runs in the task that awaits or iterates over it; only
where both sides send as they like the handler has a task of its own.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from types import TracebackType
from typing import Any, NoReturn

import grpc

from meshgate.runtime.bidirectional import BidirectionalCall, Requests
from meshgate.runtime.context import LocalContext, Metadata
from meshgate.runtime.deadline import DEFAULT_SECONDS
from meshgate.runtime.local_call import PEER, answered, call_error, copied, late_error
from meshgate.runtime.service import Method


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

    def stream_stream(self, path: str, **_: Any) -> Callable[..., BidirectionalCall]:
        method = self._methods[path]

        def call(
            requests: Requests | None = None,
            *,
            timeout: float = DEFAULT_SECONDS,
            metadata: Metadata = (),
        ) -> BidirectionalCall:
            return BidirectionalCall(method, requests, timeout, (*metadata, *self._metadata))

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
        self._request = copied(method.request_type, request)
        self._context = LocalContext(metadata, timeout_seconds, PEER)
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
            raise call_error(
                context.status_code, context.status_details, context.trailing
            ) from None

    def _expire(self) -> None:
        self._late = True
        if self._waiter is not None:
            self._interrupted = True
            self._waiter.cancel()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    @staticmethod
    def _raise_late() -> NoReturn:
        raise late_error() from None


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
        return answered(self._method, response)


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
                yield answered(self._method, response)
        finally:
            self._end()
            await responses.aclose()
