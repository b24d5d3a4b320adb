"""Between the errors of the gateway and gRPC statuses: the one place for both directions."""

import math
from collections.abc import Iterator

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from meshgate.runtime import errors
from meshgate.runtime.errors import GatewayError

DOMAIN = "meshgate"
DETAILS_KEY = "grpc-status-details-bin"
RETRY_AFTER_KEY = "retry-after"

# Message, details and a dialect's JSON travel as headers together, and Envoy takes 60 KB of them.
# A byte becomes three where it must be escaped.
_MOST_MESSAGE_BYTES = 4096
_LONGEST_RETRY_SECONDS = 366 * 86400.0

Metadata = tuple[tuple[str, str | bytes], ...]


def status_of(error: GatewayError) -> status_pb2.Status:
    """The error as a status: one ErrorInfo, and BadRequest, QuotaFailure and RetryInfo where they apply."""
    code: int = grpc.StatusCode[error.code].value[0]
    status = status_pb2.Status(code=code, message=_bounded(error.message))
    for detail in _details(error):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def trailing_metadata_of(error: GatewayError) -> Metadata:
    """What a call that ends with the error sends along."""
    metadata: Metadata = ((DETAILS_KEY, status_of(error).SerializeToString()), *error.headers)
    if error.retry_after_seconds is not None:
        metadata += ((RETRY_AFTER_KEY, str(math.ceil(_retry_seconds(error)))),)
    return metadata


def error_of(status: status_pb2.Status, service: str) -> GatewayError:
    """The error that a status of `service` stands for."""
    details = {any_.TypeName(): any_ for any_ in status.details}
    info = error_details_pb2.ErrorInfo()
    packed = details.get(info.DESCRIPTOR.full_name)
    if packed is None or not packed.Unpack(info) or info.domain != DOMAIN:
        return _foreign_error(status.code, service)
    error = _classes().get(info.reason, GatewayError)(status.message)
    error.values = dict(info.metadata)
    error.field = error.values.pop("field", None)
    retry = error_details_pb2.RetryInfo()
    packed = details.get(retry.DESCRIPTOR.full_name)
    if packed is not None and packed.Unpack(retry):
        error.retry_after_seconds = retry.retry_delay.ToTimedelta().total_seconds()
    return error


def error_of_call(call: grpc.aio.AioRpcError, service: str) -> GatewayError:
    """The error that a failed call to `service` stands for."""
    for key, value in call.trailing_metadata():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return error_of(status_pb2.Status.FromString(value), service)
            except DecodeError:
                break
    return _foreign_error(call.code().value[0], service)


def _bounded(message: str) -> str:
    """At most 4 KiB of it, and nothing that UTF-8 cannot carry."""
    data = message.encode(errors="replace")
    if len(data) <= _MOST_MESSAGE_BYTES:
        return data.decode()
    return data[: _MOST_MESSAGE_BYTES - 3].decode(errors="ignore") + "..."


def _retry_seconds(error: GatewayError) -> float:
    return max(0.0, min(error.retry_after_seconds or 0.0, _LONGEST_RETRY_SECONDS))


def _details(error: GatewayError) -> Iterator[Message]:
    values = {name: _bounded(value) for name, value in error.values.items()}
    if error.field:
        values["field"] = _bounded(error.field)
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=values)
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=_bounded(error.field), description=_bounded(error.message)
        )
        yield error_details_pb2.BadRequest(field_violations=[violation])
    if isinstance(error, errors.LimitExceededError):
        limit = error_details_pb2.QuotaFailure.Violation(
            subject=values.get("subject", ""), description=_bounded(error.message)
        )
        yield error_details_pb2.QuotaFailure(violations=[limit])
    if error.retry_after_seconds is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(round(_retry_seconds(error) * 1e9))
        yield error_details_pb2.RetryInfo(retry_delay=delay)


def _foreign_error(code: int, service: str) -> GatewayError:
    """What gRPC itself says: the peer is away, too slow, or broken."""
    name = _NAMES.get(code, "UNKNOWN")
    if name == "DEADLINE_EXCEEDED":
        return errors.DeadlineExceededError(
            f"the {service} service did not answer in time", service=service
        )
    if name in {"UNAVAILABLE", "UNIMPLEMENTED", "CANCELLED"}:
        return errors.ServiceUnavailableError(
            f"the {service} service does not answer", retry_after_seconds=1, service=service
        )
    return GatewayError("internal error")


def _classes() -> dict[str, type[GatewayError]]:
    """Each class of error by its reason; the parent where several share one."""
    classes: dict[str, type[GatewayError]] = {}
    todo: list[type[GatewayError]] = [GatewayError]
    while todo:
        cls = todo.pop(0)
        classes.setdefault(cls.reason, cls)
        todo += cls.__subclasses__()
    return classes


_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
