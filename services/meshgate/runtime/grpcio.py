"""A gRPC server on grpc.aio, with TLS where it is asked for."""

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha import reflection

from meshgate.runtime.limits import Limits
from meshgate.runtime.service import Method
from meshgate.runtime.telemetry import described

_log = structlog.get_logger("meshgate.server")


class GrpcioServer:
    """Serves methods on one port.

    Args:
        methods: What to serve.
        limits: Sizes and counts that bound a caller.
        reflected: The full names of the protobuf services that reflection tells of.
        credentials: The server's certificate; None serves without TLS.
    """

    def __init__(
        self,
        methods: Iterable[Method],
        limits: Limits,
        reflected: Iterable[str],
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        self._credentials = credentials
        self._server = grpc.aio.server(options=_options(limits))
        services: dict[str, dict[str, Any]] = {}
        for method in methods:
            services.setdefault(method.service_name, {})[method.name] = _handler(method)
        for name, handlers in services.items():
            self._server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(name, handlers),)
            )
        reflection.enable_server_reflection(
            [*sorted(reflected), reflection.SERVICE_NAME], self._server
        )

    async def start(self, address: str) -> int:
        """Begin to serve at `host:port` or `unix:path` and return the port.

        Raises:
            OSError: The address is taken.
        """
        try:
            if self._credentials is None:
                port = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}") from error
        await self._server.start()
        return port

    async def stop(self, grace_seconds: float) -> None:
        """Let calls in flight end, cancel what is left after `grace_seconds`, and close."""
        await self._server.stop(grace_seconds)


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", limits.metadata_bytes),
        ("grpc.absolute_max_metadata_size", limits.metadata_bytes),
        ("grpc.max_concurrent_streams", limits.concurrent_streams),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 5000),
    ]


def _handler(method: Method) -> Any:
    kind = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[method.request_streaming, method.response_streaming]
    wire = _Wire(method)
    return kind(wire.streamed if method.response_streaming else wire.plain)


class _Wire:
    """Reads requests and writes answers of a method.

    Left to grpcio, the text of the exception goes to the caller where one cannot be read or sent.
    """

    def __init__(self, method: Method) -> None:
        self._method = method

    async def plain(self, received: Any, context: Any) -> bytes:
        request = await self._request(received, context)
        return await self._written(await self._method.handler(request, context), context)

    async def streamed(self, received: Any, context: Any) -> AsyncIterator[bytes]:
        request = await self._request(received, context)
        async with aclosing(self._method.handler(request, context)) as responses:
            async for response in responses:
                yield await self._written(response, context)

    async def _request(self, received: Any, context: Any) -> Any:
        if self._method.request_streaming:
            return self._requests(received, context)
        return await self._read(received, context)

    async def _requests(self, received: Any, context: Any) -> AsyncIterator[Any]:
        async for payload in received:
            yield await self._read(payload, context)

    async def _read(self, payload: bytes, context: Any) -> Any:
        try:
            return self._method.request_type.FromString(payload)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the message cannot be read")

    async def _written(self, response: Any, context: Any) -> bytes:
        try:
            data: bytes = response.SerializeToString()
        except Exception as error:
            _log.error("answer cannot be sent", method=self._method.path, **described(error))
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")
            raise AssertionError("abort raises") from error
        return data
