"""A channel to services in this process: the same contract, without the wire.

Generated stubs work over it, and no caller can tell: handlers run behind the same interceptor,
deadlines are kept, failures are the same `AioRpcError`, each side has its own copy of a message,
and abandoned streams are closed. A call runs in the task that awaits or iterates over it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable
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
    """What plain and streamed calls share: the context, and how failures are told."""

    def __init__(
        self, method: Method, request: Any, timeout_seconds: float, metadata: Metadata
    ) -> None:
        self._method = method
        self._request = _copy(method.request_type, request)
        self._context = LocalContext(metadata, timeout_seconds, _PEER)
        self._at = time.monotonic() + timeout_seconds
        self._runner: asyncio.Task[Any] | None = None
        self._cancelled = False

    def cancel(self) -> bool:
        """Give the call up; whoever awaits it gets CancelledError."""
        self._cancelled = True
        if self._runner is not None:
            self._runner.cancel()
        return True

    def _begin(self) -> None:
        if self._cancelled:
            raise asyncio.CancelledError
        self._runner = asyncio.current_task()

    def _limit(self) -> asyncio.Timeout:
        """The deadline on the loop's clock."""
        return asyncio.timeout(self._at - time.monotonic())

    def _raise_aborted(self) -> NoReturn:
        context = self._context
        raise _error(context.status_code, context.status_details, context.trailing) from None

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
        self._begin()
        limit = self._limit()
        try:
            async with limit:
                response = await self._method.handler(self._request, self._context)
        except grpc.aio.AbortError:
            self._raise_aborted()
        except TimeoutError:
            if not limit.expired():
                raise
            self._raise_late()
        finally:
            self._runner = None
        return self._answered(response)


class _StreamCall(_Call):
    def __aiter__(self) -> AsyncIterator[Any]:
        return self._responses()

    async def _responses(self) -> AsyncIterator[Any]:
        responses = self._method.handler(self._request, self._context)
        try:
            while True:
                response = await self._next(responses)
                if response is None:
                    return
                yield self._answered(response)
        finally:
            await responses.aclose()

    async def _next(self, responses: Any) -> Any:
        self._begin()
        limit = self._limit()
        try:
            async with limit:
                return await anext(responses, None)
        except grpc.aio.AbortError:
            self._raise_aborted()
        except TimeoutError:
            if not limit.expired():
                raise
            self._raise_late()
        finally:
            self._runner = None


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
