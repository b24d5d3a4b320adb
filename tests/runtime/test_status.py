"""Errors of the gateway as gRPC statuses, and back."""

import inspect
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st
from runtime.binding import BOUND_SECONDS, asking, bound
from runtime.scripted import ScriptedProvider

from meshgate.runtime import errors
from meshgate.runtime.errors import GatewayError, InvalidRequestError, UpstreamRateLimitedError
from meshgate.runtime.status import (
    DETAILS_KEY,
    error_of,
    error_of_call,
    status_of,
    trailing_metadata_of,
)
from meshgate.v1 import error_reason_pb2
from meshgate.v1 import provider_service_pb2_grpc as rpc

CLASSES = [cls for _, cls in inspect.getmembers(errors, inspect.isclass)]
HEADERS_OF_ENVOY_BYTES = 60 * 1024
DIALECT_JSON_BYTES = 16 * 1024


def there_and_back(error: GatewayError) -> GatewayError:
    wire = status_of(error).SerializeToString()
    return error_of(status_pb2.Status.FromString(wire), "provider")


@pytest.mark.parametrize("cls", CLASSES)
def test_every_reason_is_one_of_the_contract(cls: type[GatewayError]) -> None:
    assert cls.reason in error_reason_pb2.ErrorReason.keys()  # noqa: SIM118 - an enum wrapper


@pytest.mark.parametrize("cls", CLASSES)
def test_every_code_is_one_of_grpc(cls: type[GatewayError]) -> None:
    assert cls.code in grpc.StatusCode.__members__
    assert 400 <= cls.http_status < 600


def test_every_reason_of_the_contract_has_an_error() -> None:
    reasons = set(error_reason_pb2.ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}

    assert reasons == {cls.reason for cls in CLASSES}


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_comes_back_as_what_it_was(cls: type[GatewayError]) -> None:
    error = cls("what went wrong with gpt-x", field="model", model="gpt-x")
    error.retry_after_seconds = 2.5

    back = there_and_back(error)

    assert issubclass(cls, type(back))  # the parent, where several share a reason
    assert (back.reason, back.code, back.http_status) == (cls.reason, cls.code, error.http_status)
    assert (back.message, back.field) == ("what went wrong with gpt-x", "model")
    assert back.values == {"model": "gpt-x"}
    assert back.retry_after_seconds == 2.5


NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1).filter(
    lambda name: name not in {"message", "field", "retry_after_seconds", "self"}
)


@given(
    message=st.text(max_size=300),
    values=st.dictionaries(NAMES, st.text(max_size=100), max_size=5),
    field=st.none() | st.text(min_size=1, max_size=50),
    retry=st.none() | st.floats(0, 1e6),
)
def test_whatever_an_error_says_comes_back(
    message: str, values: dict[str, str], field: str | None, retry: float | None
) -> None:
    back = there_and_back(
        InvalidRequestError(message, field=field, retry_after_seconds=retry, **values)
    )

    assert (back.message, back.values, back.field) == (message, values, field)
    assert back.retry_after_seconds == pytest.approx(retry, abs=1e-6)


@given(
    message=st.text(st.characters(), max_size=3000),
    retry=st.none() | st.floats(),
)
def test_no_error_is_too_strange_to_be_told(message: str, retry: float | None) -> None:
    error = InvalidRequestError(message, field=message, retry_after_seconds=retry, value=message)

    metadata = trailing_metadata_of(error)

    assert error_of(status_pb2.Status.FromString(metadata[0][1]), "provider").reason == error.reason


@pytest.mark.parametrize("character", ["x", "ü", "€", "😀", "\n", "\ud800"])
def test_a_long_message_is_cut_to_what_fits_into_headers(character: str) -> None:
    text = character * 100_000
    error = InvalidRequestError(text, field=text, model=text)

    status = status_of(error)

    assert len(status.message.encode()) <= 4096
    assert status.message.endswith("...")
    escaped_bytes = 3 * len(status.message.encode())
    encoded_bytes = len(status.SerializeToString()) * 4 // 3
    assert escaped_bytes + encoded_bytes + DIALECT_JSON_BYTES < HEADERS_OF_ENVOY_BYTES


def test_the_details_are_googles() -> None:
    status = status_of(
        UpstreamRateLimitedError("gpt-x is full", field="model", retry_after_seconds=1.5, model="x")
    )

    assert [detail.TypeName() for detail in status.details] == [
        "google.rpc.ErrorInfo",
        "google.rpc.BadRequest",
        "google.rpc.RetryInfo",
    ]


@pytest.mark.parametrize(("seconds", "header"), [(0, "0"), (0.2, "1"), (1.5, "2"), (30, "30")])
def test_retry_after_is_in_whole_seconds_and_never_too_early(seconds: float, header: str) -> None:
    metadata = trailing_metadata_of(GatewayError("later", retry_after_seconds=seconds))

    assert dict(metadata)["retry-after"] == header


def test_a_status_of_someone_else_is_not_ours() -> None:
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason="ERROR_REASON_NOT_FOUND", domain="else.org"))

    error = error_of(status_pb2.Status(code=5, message="secret", details=[detail]), "provider")

    assert (type(error), error.message) == (GatewayError, "internal error")


def test_a_reason_of_a_newer_release_is_an_error_still() -> None:
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason="ERROR_REASON_FROM_TOMORROW", domain="meshgate"))

    error = error_of(status_pb2.Status(code=9, message="so new", details=[detail]), "provider")

    assert (type(error), error.message) == (GatewayError, "so new")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.ServiceUnavailableError),
        (grpc.StatusCode.UNIMPLEMENTED, errors.ServiceUnavailableError),
        (grpc.StatusCode.CANCELLED, errors.ServiceUnavailableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceededError),
        (grpc.StatusCode.INTERNAL, GatewayError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, GatewayError),
    ],
)
@pytest.mark.parametrize("trailing", [(), ((DETAILS_KEY, b"\xff\xff not a status"),)])
def test_what_grpc_itself_says_names_the_service_and_no_more(
    code: grpc.StatusCode, expected: type[GatewayError], trailing: Any
) -> None:
    call = grpc.aio.AioRpcError(
        code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details="10.0.0.1 is secret"
    )

    error = error_of_call(call, "provider")

    assert type(error) is expected
    assert "10.0.0.1" not in error.message


class Refusing(ScriptedProvider):
    """Refuses with one message, whatever is asked."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self._message = message

    async def Execute(self, request: Any, context: Any) -> Any:
        raise InvalidRequestError(self._message, field="model", model=self._message)


@pytest.mark.parametrize("binding", ["in-process", "grpc", "native"])
@pytest.mark.parametrize(
    "message",
    [
        "two\nlines\r\nand a header: yes",
        "nul \x00, bell \x07, delete \x7f",
        "größer als 5 € 😀",
        "100 %41 percent",
        "  spaces  ",
        "",
    ],
)
async def test_any_message_arrives_as_it_was_sent(binding: str, message: str) -> None:
    async with bound(binding, Refusing(message)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rpc.ProviderServiceStub(channel).Execute(asking("any"), timeout=BOUND_SECONDS)

    assert raised.value.details() == message
    assert error_of_call(raised.value, "provider").values == {"model": message}


@pytest.mark.parametrize("binding", ["in-process", "grpc", "native"])
@pytest.mark.parametrize("character", ["x", "😀", "\n", "\ud800"])
async def test_a_message_that_is_too_long_arrives_cut(binding: str, character: str) -> None:
    async with bound(binding, Refusing(character * 20_000)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await rpc.ProviderServiceStub(channel).Execute(asking("any"), timeout=BOUND_SECONDS)

    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert str(raised.value.details()).endswith("...")
    assert type(error_of_call(raised.value, "provider")) is InvalidRequestError
