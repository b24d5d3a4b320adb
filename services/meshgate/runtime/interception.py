"""What happens around every handler, on every server and in-process: the one interceptor."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import grpc
import structlog

from meshgate.runtime.cancellation import being_cancelled
from meshgate.runtime.durations import DurationHistogram, Durations
from meshgate.runtime.errors import GatewayError
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.service import Handler, Implementation, Method
from meshgate.runtime.status import status_of, trailing_metadata_of
from meshgate.runtime.telemetry import described

REQUEST_ID_KEY = "x-request-id"
ERROR_BODY_KEY = "x-meshgate-error"
HTTP_STATUS_KEY = "x-meshgate-http-status"

_log = structlog.get_logger("meshgate.rpc")

_DURATION = DurationHistogram(
    "meshgate_rpc_server_duration_seconds",
    "How long calls took, by RPC and status code.",
    ("service", "method", "code"),
)


def intercepted(implementation: Implementation, identity: MeshIdentity) -> tuple[Method, ...]:
    """The methods of an implementation, each with the interceptor around its handler.

    The interceptor refuses strangers on internal services, turns a GatewayError into a status with
    details, hides every other exception behind "internal error", logs it, and takes the time.
    """
    return tuple(
        replace(method, handler=_Interceptor(implementation, identity, method).handler())
        for method in implementation.methods()
    )


@dataclass
class _Interceptor:
    implementation: Implementation
    identity: MeshIdentity
    method: Method

    def __post_init__(self) -> None:
        self._durations = durations_of(self.method.service_name, self.method.name)

    def handler(self) -> Handler:
        return self._streamed if self.method.response_streaming else self._plain

    async def _plain(self, request: Any, context: Any) -> Any:
        started = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        try:
            self._admit(context)
            response = await self.method.handler(request, context)
            code = grpc.StatusCode.OK
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and being_cancelled():
                raise
            code = _code_of(error, context)
            await self._abort(error, context)
        finally:
            self._durations[code].observe(time.perf_counter() - started)
        return response

    async def _streamed(self, request: Any, context: Any) -> AsyncIterator[Any]:
        started = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        try:
            self._admit(context)
            responses = self.method.handler(request, context)
            try:
                async for response in responses:
                    yield response
            finally:  # three calls fewer than contextlib's aclosing
                await responses.aclose()
            code = grpc.StatusCode.OK
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and being_cancelled():
                raise
            code = _code_of(error, context)
            await self._abort(error, context)
        finally:
            self._durations[code].observe(time.perf_counter() - started)

    def _admit(self, context: Any) -> None:
        if self.implementation.internal:
            self.identity.verify(context.invocation_metadata())

    async def _abort(self, error: BaseException, context: Any) -> NoReturn:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if not isinstance(error, GatewayError):
            _log.error(
                "unexpected exception",
                method=self.method.path,
                request_id=request_id_of(context),
                **described(error),
            )
            error = GatewayError("internal error")
        metadata = trailing_metadata_of(error)
        if self.implementation.error_body is not None:
            body = self.implementation.error_body(error)
            metadata += (
                (HTTP_STATUS_KEY, str(body.http_status)),
                (ERROR_BODY_KEY, body.json.decode("ascii")),
            )
        await context.abort(grpc.StatusCode[error.code], status_of(error).message, metadata)
        raise AssertionError("abort raises")


def durations_of(service: str, method: str) -> Mapping[grpc.StatusCode, Durations]:
    """Where the durations of an RPC are observed, also of those that come as items of a batch."""
    return {code: _DURATION.of(service, method, code.name) for code in grpc.StatusCode}


def request_id_of(context: Any) -> str:
    """The request id that a call carries, or nothing."""
    for key, value in context.invocation_metadata():
        if key == REQUEST_ID_KEY:
            return str(value)
    return ""


def _code_of(error: BaseException, context: Any) -> grpc.StatusCode:
    if isinstance(error, GatewayError):
        return grpc.StatusCode[error.code]
    if isinstance(error, grpc.aio.AbortError):
        return context.code() or grpc.StatusCode.UNKNOWN
    return grpc.StatusCode.INTERNAL
