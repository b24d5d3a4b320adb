"""A gRPC server on pygrpc-native's front: HTTP/2 in Rust, handlers on this event loop.

The front hands over each call as an event and takes answers by call id; what lies between is this
dispatcher. Methods with streamed requests, which the front does not know, and reflection go to a
grpcio server on a unix socket behind it.
"""

import asyncio
import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError
from pygrpc_native import (
    EVENT_CANCEL,
    STREAM_CLOSED,
    STREAM_FULL,
    NativeGrpcFront,
)

from meshgate.runtime.context import LocalContext
from meshgate.runtime.grpcio import GrpcioServer
from meshgate.runtime.limits import Limits
from meshgate.runtime.outbox import Outbox
from meshgate.runtime.service import Method
from meshgate.runtime.telemetry import described

_log = structlog.get_logger("meshgate.server")

_EVENTS_AT_ONCE = 64
_FIRST_WAIT_SECONDS = 0.001
_LONGEST_WAIT_SECONDS = 0.1
_CLEAN_UP_SECONDS = 5.0
_LAST_WRITES_SECONDS = 1.0
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_HTTP2_SETTINGS_TAKEN = b"\0\0\0\4\1\0\0\0\0"  # RFC 9113, 6.5: an acknowledgement is empty


class NativeServer:
    """Serves methods on one port, without TLS.

    Args:
        methods: What to serve.
        limits: Sizes and counts that bound a caller.
    """

    def __init__(self, methods: Iterable[Method], limits: Limits) -> None:
        methods = tuple(methods)
        self._methods = [method for method in methods if not method.request_streaming]
        self._limits = limits
        self._fallback = GrpcioServer(
            [method for method in methods if method.request_streaming],
            limits,
            reflected={method.service_name for method in methods},
        )
        self._address = ""
        self._directory: Path | None = None
        self._front: NativeGrpcFront | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._outbox = Outbox(self._tasks.__len__)
        self._stopping = False

    async def start(self, address: str) -> int:
        """Begin to serve at `host:port` and return the port.

        Raises:
            OSError: The address is taken.
        """
        self._address = address
        self._front = front = NativeGrpcFront(
            address,
            [(method.path, method.response_streaming) for method in self._methods],
            io_threads=1,
            call_details=True,
            delay_stream_headers=True,
            keepalive_permit_without_calls=True,
            max_concurrent_streams=self._limits.concurrent_streams,
            max_metadata_size=self._limits.metadata_bytes,
        )
        self._directory = Path(tempfile.mkdtemp(prefix="meshgate-"))
        socket = f"unix:{self._directory / 'fallback.sock'}"
        await self._fallback.start(socket)
        front.set_fallback(socket.removeprefix("unix:"))
        front.start()
        loop = asyncio.get_running_loop()
        threading.Thread(
            target=self._receive, args=(front, loop), name="grpc-receive", daemon=True
        ).start()
        return front.bound_port

    async def stop(self, grace_seconds: float) -> None:
        """Let calls in flight end, cancel what is left after `grace_seconds`, and close."""
        front, directory = self._front, self._directory
        if front is None or directory is None:
            raise RuntimeError("the server was not started")
        self._stopping = True
        fallback = asyncio.ensure_future(self._fallback.stop(grace_seconds))
        try:
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=grace_seconds)
            self._outbox.flush()
            await self._cancel_calls(front)
            await fallback
            await self._written(front)
        finally:
            await asyncio.to_thread(front.close)
            shutil.rmtree(directory, ignore_errors=True)

    async def _written(self, front: NativeGrpcFront) -> None:
        """Wait until the front has written what it was given, or `_LAST_WRITES_SECONDS`.

        Closing drops what is not written yet, and the front does not say when that is. Its one
        I/O thread takes things in turn, so what it answers to a new connection comes after.
        """
        host = self._address.rpartition(":")[0].strip("[]")
        with contextlib.suppress(TimeoutError, OSError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_LAST_WRITES_SECONDS):
                reader, writer = await asyncio.open_connection(host, front.bound_port)
                try:
                    writer.write(_HTTP2_PREFACE)
                    await reader.readuntil(_HTTP2_SETTINGS_TAKEN)
                finally:
                    writer.close()

    async def _cancel_calls(self, front: NativeGrpcFront) -> None:
        tasks = list(self._tasks.items())
        for call_id, task in tasks:
            front.fail(call_id, grpc.StatusCode.UNAVAILABLE.value[0], "the server is stopping")
            task.cancel()
        if tasks:
            await asyncio.wait([task for _, task in tasks], timeout=_CLEAN_UP_SECONDS)

    def _receive(self, front: NativeGrpcFront, loop: asyncio.AbstractEventLoop) -> None:
        """Pass events to the loop until the front is closed; runs in a thread of its own."""
        while (events := front.recv_batch_details(_EVENTS_AT_ONCE)) is not None:
            try:
                loop.call_soon_threadsafe(self._on_events, front, loop, events)
            except RuntimeError:  # the loop is closed: nobody is left to answer
                front.close()
                return

    def _on_events(
        self, front: NativeGrpcFront, loop: asyncio.AbstractEventLoop, events: list[Any]
    ) -> None:
        for kind, call_id, method_id, payload, _client, details in events:
            if kind == EVENT_CANCEL:
                task = self._tasks.get(call_id)
                if task is not None:
                    task.cancel()
                continue
            if self._stopping:
                front.fail(call_id, grpc.StatusCode.UNAVAILABLE.value[0], "the server is stopping")
                continue
            method, context = self._methods[method_id], LocalContext(*_seen(details))
            call = _Call(front, self._outbox, call_id, method, context)
            self._run(call_id, loop.create_task(call.answer(payload, self._limits.message_bytes)))

    def _run(self, call_id: int, task: asyncio.Task[None]) -> None:
        self._tasks[call_id] = task
        # Not at the end of the coroutine: one that is cancelled before it begins has no end.
        task.add_done_callback(partial(self._ended, call_id))

    def _ended(self, call_id: int, _task: object) -> None:
        del self._tasks[call_id]


class _Call:
    """One call that the front has handed over."""

    __slots__ = (
        "_kept",
        "_outbox",
        "_retry",
        "_sent",
        "call_id",
        "closed",
        "context",
        "ended",
        "front",
        "method",
    )

    def __init__(
        self,
        front: NativeGrpcFront,
        outbox: Outbox,
        call_id: int,
        method: Method,
        context: LocalContext,
    ) -> None:
        self.front = front
        self.call_id = call_id
        self.method = method
        self.context = context
        self.closed = self.ended = False
        self._outbox = outbox
        self._kept: bytes | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._sent: asyncio.Future[None] | None = None

    async def answer(self, payload: bytes, most_bytes: int) -> None:
        if len(payload) > most_bytes:
            self._fail(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"the message has {len(payload)} bytes; at most {most_bytes} are taken",
            )
            return
        try:
            request = self.method.request_type.FromString(payload)
        except DecodeError:
            self._fail(grpc.StatusCode.INVALID_ARGUMENT, "the message cannot be read")
            return
        try:
            await (
                self._stream(request) if self.method.response_streaming else self._plain(request)
            )
        except grpc.aio.AbortError:
            await self._all_sent()
            self._fail(self.context.status_code, self.context.status_details)
        except Exception as error:
            # Handlers raise nothing else; this is what they return, and cannot be sent.
            _log.error("answer cannot be sent", method=self.method.path, **described(error))
            await self._all_sent()
            self._fail(grpc.StatusCode.INTERNAL, "internal error")

    async def _plain(self, request: Any) -> None:
        response = await self.method.handler(request, self.context)
        self._kept = response.SerializeToString()
        self._outbox.put(self._leave)

    def _leave(self) -> None:
        """Send what is kept. What cannot be sent is this call's failure, not that of others."""
        try:
            if self.method.response_streaming:
                self._send()
            else:
                self._respond()
        except Exception as error:
            _log.error("answer cannot be sent", method=self.method.path, **described(error))
            self._kept, self.closed, self.ended = None, True, False
            self.context.trailing = ()
            self._fail(grpc.StatusCode.INTERNAL, "internal error")

    def _respond(self) -> None:
        initial, trailing = list(self.context.initial), list(self.context.trailing)
        self.front.respond(self.call_id, self._kept or b"", initial, trailing)

    # ------------------------------------------------------------- streams

    async def _stream(self, request: Any) -> None:
        responses = self.method.handler(request, self.context)
        try:
            async for response in responses:
                if self._kept is not None:
                    await self._all_sent()
                if self.closed:
                    return
                self._kept = response.SerializeToString()
                self._outbox.put(self._leave)
        finally:  # three calls fewer than contextlib's aclosing
            await responses.aclose()
        if self._retry is not None:
            await self._all_sent()  # a server that stops waits for slow readers, too
        self.ended = True
        self._outbox.put(self._leave)

    def _send(self) -> None:
        """Send what there is to send, or begin to ask again and again, ever more rarely.

        The front's blocking send would take a thread for each slow reader.
        """
        if self._retry is None:
            self._try_to_send(_FIRST_WAIT_SECONDS)

    def _try_to_send(self, wait_seconds: float) -> None:
        self._retry = None
        if self._kept is not None and not self._is_taken(self._kept):
            longer_seconds = min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)
            self._retry = asyncio.get_running_loop().call_later(
                wait_seconds, self._try_to_send, longer_seconds
            )
            return
        self._kept = None
        if self._sent is not None and not self._sent.done():
            self._sent.set_result(None)
        if self.ended:
            self.ended = False
            self.front.stream_end(self.call_id, list(self.context.trailing))

    def _is_taken(self, data: bytes) -> bool:
        """Whether the front has taken a message, or wants none any more."""
        if self.context.initial:
            self.front.stream_send_initial_metadata(self.call_id, list(self.context.initial))
            self.context.initial = ()
        sent = self.front.stream_try_send(self.call_id, data)
        self.closed = sent == STREAM_CLOSED
        return sent != STREAM_FULL

    async def _all_sent(self) -> None:
        """Wait until nothing is kept any more; the reader may be behind."""
        self._send()
        if self._kept is not None:
            self._sent = asyncio.get_running_loop().create_future()
            await self._sent
            self._sent = None

    # ------------------------------------------------------------- failures

    def _fail(self, code: grpc.StatusCode | None, details: str) -> None:
        self.front.fail(
            self.call_id,
            (code or grpc.StatusCode.UNKNOWN).value[0],
            details,
            list(self.context.trailing),
        )


def _seen(details: Any) -> tuple[Any, float | None, str]:
    metadata, peer, seconds_left = details
    return metadata, seconds_left, peer
