"""What every call in this process has in common: copies, and how failures are told."""

from typing import Any

import grpc
import structlog

from meshgate.runtime.context import Metadata
from meshgate.runtime.service import Method
from meshgate.runtime.telemetry import described

_log = structlog.get_logger("meshgate.server")

PEER = "in-process"


def copied(message_type: type[Any], message: Any) -> Any:
    """Sent messages are the receiver's own: what either side changes, the other never sees."""
    copy = message_type()
    copy.CopyFrom(message)
    return copy


def answered(method: Method, response: Any) -> Any:
    """The caller's copy of what a handler answers.

    Raises:
        AioRpcError: It is no answer to this method.
    """
    try:
        return copied(method.response_type, response)
    except TypeError as error:
        _log.error("answer cannot be sent", method=method.path, **described(error))
    raise call_error(grpc.StatusCode.INTERNAL, "internal error")


def call_error(
    code: grpc.StatusCode | None, details: str, trailing: Metadata = ()
) -> grpc.aio.AioRpcError:
    """A failure as a caller of grpcio would meet it."""
    return grpc.aio.AioRpcError(
        code or grpc.StatusCode.UNKNOWN,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(*trailing),
        details=details,
    )


def late_error() -> grpc.aio.AioRpcError:
    """A call took longer than its caller would wait."""
    return call_error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
