"""Limits, subjects and amounts as messages, and back."""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TypeVar

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import (
    Enforcement,
    Limit,
    LimitKind,
    Subject,
    SubjectKind,
    WindowMode,
    WindowUnit,
)
from meshgate.v1 import limit_pb2 as pb

Word = TypeVar("Word", bound=Enum)


def _numbers(words: type[Word], numbers: Iterable[tuple[str, int]], prefix: str) -> dict[Word, int]:
    by_name = dict(numbers)
    return {word: by_name[f"{prefix}_{word.name}"] for word in words}


_KINDS: Mapping[LimitKind, int] = _numbers(LimitKind, pb.LimitKind.items(), "LIMIT_KIND")
_UNITS: Mapping[WindowUnit, int] = _numbers(WindowUnit, pb.WindowUnit.items(), "WINDOW_UNIT")
_MODES: Mapping[WindowMode, int] = _numbers(WindowMode, pb.WindowMode.items(), "WINDOW_MODE")
_ENFORCEMENTS: Mapping[Enforcement, int] = _numbers(
    Enforcement, pb.Enforcement.items(), "ENFORCEMENT"
)
_SUBJECTS: Mapping[SubjectKind, int] = _numbers(SubjectKind, pb.SubjectKind.items(), "SUBJECT_KIND")

_KIND_OF = {number: kind for kind, number in _KINDS.items()}
_UNIT_OF = {number: unit for unit, number in _UNITS.items()}
_MODE_OF = {number: mode for mode, number in _MODES.items()}
_ENFORCEMENT_OF = {number: word for word, number in _ENFORCEMENTS.items()}
_SUBJECT_OF = {number: kind for kind, number in _SUBJECTS.items()}


class UnknownWordError(ValueError):
    """An enum has a value that this version does not know, or none."""


def limit_message(limit: Limit) -> pb.Limit:
    """The limit as a message."""
    return pb.Limit(
        kind=_KINDS[limit.kind],  # type: ignore[arg-type]
        amount=limit.amount,
        unit=_UNITS[limit.unit] if limit.unit else 0,  # type: ignore[arg-type]
        mode=_MODES[limit.mode] if limit.mode else 0,  # type: ignore[arg-type]
        time_zone="" if limit.mode is not WindowMode.CALENDAR else limit.time_zone,
        enforcement=_ENFORCEMENTS[limit.enforcement],  # type: ignore[arg-type]
    )


def limit_of(message: pb.Limit) -> Limit:
    """The limit that a message stands for, checked.

    Raises:
        ImpossibleLimitError: There can be no such limit.
        UnknownWordError: It is of a kind that is not known here.
    """
    kind = _KIND_OF.get(message.kind)
    if kind is None or (message.unit and message.unit not in _UNIT_OF):
        raise UnknownWordError("a limit counts what is not known here: state its kind and unit")
    return Limit.of(
        kind,
        message.amount,
        _UNIT_OF.get(message.unit),
        _MODE_OF.get(message.mode),
        message.time_zone,
        _ENFORCEMENT_OF.get(message.enforcement, Enforcement.NORMAL),
    )


def subject_message(subject: Subject) -> pb.Subject:
    """The subject as a message."""
    return pb.Subject(
        kind=_SUBJECTS[subject.kind],  # type: ignore[arg-type]
        id=subject.id,
        limits=[limit_message(limit) for limit in subject.limits],
    )


def subject_of(message: pb.Subject) -> Subject:
    """The subject that a message stands for.

    Raises:
        ImpossibleLimitError: One of its limits cannot be.
        UnknownWordError: It is of a kind that is not known here.
    """
    kind = _SUBJECT_OF.get(message.kind)
    if kind is None:
        raise UnknownWordError("a subject is of a kind that is not known here")
    return Subject(kind, message.id, tuple(limit_of(limit) for limit in message.limits))


def amounts_message(amounts: Amounts) -> pb.Amounts:
    """The amounts as a message."""
    return pb.Amounts(
        requests=amounts.requests,
        input_tokens=amounts.input_tokens,
        output_tokens=amounts.output_tokens,
        cost_nanos=amounts.cost_nanos,
        concurrency=amounts.concurrency,
    )


def amounts_of(message: pb.Amounts) -> Amounts:
    """The amounts that a message stands for, unchecked."""
    return Amounts(
        message.requests,
        message.input_tokens,
        message.output_tokens,
        message.cost_nanos,
        message.concurrency,
    )
