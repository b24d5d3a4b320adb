"""Fields of records as they stand in messages, and back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from meshgate.auth.records import Record
from meshgate.limits.limit import ImpossibleLimitError, Limit
from meshgate.limits.messages import UnknownWordError, limit_message, limit_of
from meshgate.runtime.errors import GatewayError, InvalidRequestError
from meshgate.v1 import limit_pb2

R = TypeVar("R", bound=Record)

_SHOWN_CHARACTERS = 100


@contextmanager
def fields_of(name: str) -> Iterator[None]:
    """Name fields that are at fault by their path in a request: `name` becomes `key.name`."""
    try:
        yield
    except GatewayError as error:
        if error.field:
            error.field = f"{name}.{error.field}"
        raise


def changing(
    message: Message, mask: FieldMask, wanted: R, changeable: Sequence[str], fixed: Sequence[str]
) -> Callable[[R], R]:
    """The change of a record that an update asks for.

    Args:
        message: The record in the request.
        mask: The fields to change; those that are set in the message where it is empty.
        wanted: What the message stands for.
        changeable: The fields that a mask may name, called the same in message and record.
        fixed: Those that never change: where they are set, they must be as they are.

    Raises:
        InvalidRequestError: The mask names another field, or nothing is to change.
    """
    names = _masked(mask, changeable) if mask.paths else _set_in(message, changeable)
    if not names:
        raise InvalidRequestError(
            "nothing is to be changed: name fields in update_mask", field="update_mask"
        )

    def change(record: R) -> R:
        for name in fixed:
            if getattr(message, name) not in ("", getattr(record, name)):
                raise InvalidRequestError(f"{name}: it can never be changed", field=name)
        changes: dict[str, Any] = {name: getattr(wanted, name) for name in names}
        return replace(record, **changes)

    return change


def limits_of(messages: Iterable[limit_pb2.Limit]) -> tuple[Limit, ...]:
    """The limits that messages stand for.

    Raises:
        InvalidRequestError: There can be no such limit; `field` says which, and what of it.
    """
    return tuple(_limit(index, message) for index, message in enumerate(messages))


def limit_messages(limits: Iterable[Limit]) -> Iterator[limit_pb2.Limit]:
    """The limits as messages."""
    return (limit_message(limit) for limit in limits)


def timestamp(moment: datetime | None) -> Timestamp | None:
    """The moment as a message; None for none."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def moment_in(message: Message, name: str) -> datetime | None:
    """The moment in a field of a message; None where it is not set.

    Raises:
        InvalidRequestError: It lies before year 1 or after year 9999.
    """
    if not message.HasField(name):
        return None
    try:
        moment: datetime = getattr(message, name).ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequestError(f"{name}: there is no such time", field=name) from None
    return moment


def timedelta_of(message: Duration, field: str) -> timedelta:
    """The time that a Duration stands for.

    Raises:
        InvalidRequestError: It is longer than any.
    """
    try:
        return message.ToTimedelta()
    except (ValueError, OverflowError):
        raise InvalidRequestError(f"{field}: there is no such duration", field=field) from None


def _masked(mask: FieldMask, changeable: Sequence[str]) -> Sequence[str]:
    if list(mask.paths) == ["*"]:
        return changeable
    for path in mask.paths:
        if path not in changeable:
            shown = path[:_SHOWN_CHARACTERS]
            raise InvalidRequestError(
                f"update_mask: {shown!r} cannot be changed: use {', '.join(changeable)}",
                field="update_mask",
                path=shown,
            )
    return tuple(mask.paths)


def _set_in(message: Message, names: Sequence[str]) -> Sequence[str]:
    present = {descriptor.name for descriptor, _ in message.ListFields()}
    return [name for name in names if name in present]


def _limit(index: int, message: limit_pb2.Limit) -> Limit:
    path = f"limits[{index}]"
    _check_words(path, message)
    try:
        return limit_of(message)
    except ImpossibleLimitError as error:
        path = f"{path}.{error.field}" if error.field else path
        raise InvalidRequestError(f"{path}: {error}", field=path) from None
    except UnknownWordError as error:
        raise InvalidRequestError(f"{path}: {error}", field=path) from None


def _check_words(path: str, message: limit_pb2.Limit) -> None:
    """Check that every word is known: what is not must not count as what is usual.

    Raises:
        InvalidRequestError: One is not.
    """
    for name, words in _WORDS.items():
        number = getattr(message, name)
        if number not in words or (name == "kind" and not number):
            raise InvalidRequestError(
                f"{path}.{name}: use one of {', '.join(words[n] for n in words if n)}",
                field=f"{path}.{name}",
            )


_WORDS = {
    field.name: {value.number: value.name for value in field.enum_type.values}
    for field in limit_pb2.Limit.DESCRIPTOR.fields
    if field.enum_type is not None
}
"""The names of the values of each field of a limit that is an enum, by number."""
