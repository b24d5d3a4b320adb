"""A call within this process whose both sides send as they like.

Both sides run at the same time, so the handler has a task of its own, unlike in other calls in this
process. One message lies between the sides in each direction: who sends more waits.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any

import grpc
import structlog

from meshgate.runtime.context import LocalContext, Metadata
from meshgate.runtime.handover import Handover
from meshgate.runtime.local_call import PEER, answered, call_error, copied, late_error
from meshgate.runtime.service import Method
from meshgate.runtime.telemetry import described

_log = structlog.get_logger("meshgate.server")

Requests = AsyncIterable[Any] | Iterable[Any]


class BidirectionalCall:
    """One call, as grpcio's callers know it.

    Iterate over it, or `read` until `grpc.aio.EOF`. Requests come from the iterator that the call
    was given; without one, `write` them, and say `done_writing`. It ends with its handler, its
    deadline, `cancel`, or the cancellation of a task that reads or writes; an iteration that is
    given up cancels it.
    """

    def __init__(
        self, method: Method, requests: Requests | None, timeout_seconds: float, metadata: Metadata
    ) -> None:
        self._method = method
        self._context = LocalContext(metadata, timeout_seconds, PEER)
        self._requests: Handover[Any] = Handover()
        self._responses: Handover[Any] = Handover()
        self._failure: grpc.aio.AioRpcError | None = None
        self._is_late = False
        self._writer = None if requests is None else asyncio.create_task(self._write_all(requests))
        self._handler = asyncio.create_task(self._handle(timeout_seconds), name=method.name)
        # Not at the end of the coroutine: one that is cancelled before it begins has no end.
        self._handler.add_done_callback(self._ended)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._read_all()

    async def read(self) -> Any:
        """The next response, or `grpc.aio.EOF`.

        Raises:
            AioRpcError: The call has failed.
        """
        try:
            response = await self._responses.take()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if response is not None:
            return response
        self._check()
        return grpc.aio.EOF

    async def write(self, request: Any) -> None:
        """Send a request, once there is room for it.

        Raises:
            AioRpcError: The call has failed.
            InvalidStateError: It has ended, or `done_writing` was said.
        """
        request = copied(self._method.request_type, request)
        try:
            is_taken = await self._requests.put(request)
        except asyncio.CancelledError:
            self.cancel()
            raise
        if not is_taken:
            self._check()
            raise asyncio.InvalidStateError("no more can be written to the call")

    async def done_writing(self) -> None:
        """No more requests come."""
        self._requests.close()

    def cancel(self) -> bool:
        """Give the call up; whoever waits for it gets CancelledError."""
        self._responses.drop()
        return self._handler.cancel()

    def done(self) -> bool:
        """Whether the call has ended, though responses may be left to read."""
        return self._handler.done()

    def _check(self) -> None:
        """Tell how the call has ended, if that was not well."""
        if self._failure is not None:
            raise self._failure
        if self._handler.cancelled() or self._handler.cancelling():
            raise asyncio.CancelledError

    async def _read_all(self) -> AsyncIterator[Any]:
        try:
            while (response := await self.read()) is not grpc.aio.EOF:
                yield response
        finally:
            self.cancel()

    async def _write_all(self, requests: Requests) -> None:
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    await self._requests.put(copied(self._method.request_type, request))
            else:
                for request in requests:
                    await self._requests.put(copied(self._method.request_type, request))
        except Exception as error:
            # As with grpcio: the handler must not take half of the requests for all of them.
            _log.error("requests broke off", method=self._method.path, **described(error))
            self.cancel()
        self._requests.close()

    async def _handle(self, timeout_seconds: float) -> grpc.aio.AioRpcError | None:
        """Run the handler, and return how it failed, if it did."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._answer()
        except grpc.aio.AbortError:
            context = self._context
            return call_error(context.status_code, context.status_details, context.trailing)
        except TimeoutError:
            self._is_late = True
            return late_error()
        except grpc.aio.AioRpcError as error:
            return error
        except Exception as error:
            # Handlers raise nothing else behind the interceptor.
            _log.error("unexpected exception", method=self._method.path, **described(error))
            return call_error(grpc.StatusCode.INTERNAL, "internal error")
        return None

    async def _answer(self) -> None:
        responses = self._method.handler(self._requests, self._context)
        try:
            async for response in responses:
                await self._responses.put(answered(self._method, response))
        finally:
            await responses.aclose()

    def _ended(self, handler: "asyncio.Task[grpc.aio.AioRpcError | None]") -> None:
        if not handler.cancelled():
            self._failure = handler.result()
        if self._is_late:
            self._responses.drop()
        self._responses.close()
        self._requests.drop()
        if self._writer is not None:
            self._writer.cancel()
