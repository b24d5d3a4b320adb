"""Items of requests, checked, as what the domain asks."""

from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration

from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.limits.limit import LARGEST_AMOUNT, ImpossibleLimitError, Subject
from meshgate.limits.messages import UnknownWordError, amounts_of, subject_of
from meshgate.quota.grants import (
    LONGEST_TTL_SECONDS,
    MOST_RECORD_BYTES,
    SEQUENCES,
    USUAL_TTL_SECONDS,
    Extension,
    GrantSettlement,
    Hold,
    Lease,
    Release,
    Settlement,
)
from meshgate.runtime.errors import InvalidRequestError
from meshgate.v1 import limit_pb2
from meshgate.v1 import quota_service_pb2 as pb

_MOST_ID_LENGTH = 64
_MOST_PARTITION_LENGTH = 256
_MOST_SUBJECT_LENGTH = 1_024
_MOST_SUBJECTS = 64
_MOST_LIMITS = 33
_MOST_REMEMBERED = 20_000
_MILLISECOND_NANOS = 1_000_000


class Reader:
    """Reads items of requests. Subjects come again and again and are remembered.

    Each method raises InvalidRequestError for what can never be done.
    """

    def __init__(self) -> None:
        self._subjects: dict[bytes, Subject] = {}

    def hold(self, item: pb.HoldItem) -> Hold:
        return Hold(
            _id(item.grant_id),
            _partition(item.partition),
            self._read_subjects(item.subjects),
            _amounts(item.amounts, "amounts"),
            _ttl(item.ttl, item.HasField("ttl")),
        )

    def lease(self, item: pb.LeaseItem) -> Lease:
        if item.unit_count < 0:
            raise _wrong("unit_count", "unit_count is less than nothing")
        return Lease(
            _id(item.grant_id),
            _partition(item.partition),
            self._read_subjects(item.subjects),
            _amounts(item.least, "least"),
            _amounts(item.unit, "unit"),
            item.unit_count,
            _ttl(item.ttl, item.HasField("ttl")),
        )

    def extension(self, item: pb.ExtendItem) -> Extension:
        return Extension(
            _id(item.grant_id),
            _partition(item.partition),
            _amounts(item.total, "total"),
            _ttl(item.ttl, item.HasField("ttl")),
        )

    def release(self, item: pb.ReleaseItem) -> Release:
        return Release(_id(item.grant_id), _partition(item.partition), _amounts(item.used, "used"))

    def grant(self, item: pb.GrantSettlement) -> GrantSettlement:
        """The grant that is settled, without the settlements."""
        moment = None
        if item.HasField("grant_time"):
            time = item.grant_time
            moment = time.seconds * 1_000 + time.nanos // _MILLISECOND_NANOS
        return GrantSettlement(
            _id(item.grant_id),
            _partition(item.partition),
            self._read_subjects(item.subjects),
            moment,
            (),
        )

    def settlement(self, item: pb.Settlement) -> Settlement:
        if not 0 <= item.sequence < SEQUENCES:
            raise _wrong("sequence", f"a sequence is from 0 to {SEQUENCES - 1}")
        if len(item.records) > MOST_RECORD_BYTES:
            raise _wrong(
                "records", f"a settlement has at most {MOST_RECORD_BYTES} bytes of records"
            )
        return Settlement(
            item.sequence,
            _amounts(item.held, "held"),
            _amounts(item.spent, "spent"),
            item.records,
        )

    def _read_subjects(self, messages: Iterable[limit_pb2.Subject]) -> tuple[Subject, ...]:
        subjects = [self._read_subject(message) for message in messages]
        if len(subjects) > _MOST_SUBJECTS:
            raise _wrong("subjects", f"an item has at most {_MOST_SUBJECTS} subjects")
        by_name = {subject.name: subject for subject in subjects}
        return tuple(subjects) if len(by_name) == len(subjects) else _merged(subjects)

    def _read_subject(self, message: limit_pb2.Subject) -> Subject:
        key = message.SerializeToString()
        subject = self._subjects.get(key)
        if subject is None:
            if len(self._subjects) >= _MOST_REMEMBERED:
                self._subjects.clear()
            subject = self._subjects[key] = _subject(message)
        return subject


def _subject(message: limit_pb2.Subject) -> Subject:
    if len(message.limits) > _MOST_LIMITS:
        raise _wrong("subjects", f"a subject has at most {_MOST_LIMITS} limits")
    if len(message.id) > _MOST_SUBJECT_LENGTH:
        raise _wrong("subjects", "the id of a subject is too long")
    try:
        return subject_of(message)
    except (ImpossibleLimitError, UnknownWordError) as error:
        raise _wrong("subjects", str(error)) from None


def _merged(subjects: Iterable[Subject]) -> tuple[Subject, ...]:
    """Each subject once, with all its limits: nothing is counted twice for it."""
    merged: dict[str, Subject] = {}
    for subject in subjects:
        before = merged.get(subject.name)
        limits = (*(before.limits if before else ()), *subject.limits)
        merged[subject.name] = Subject(subject.kind, subject.id, tuple(dict.fromkeys(limits)))
    return tuple(merged.values())


def _id(text: str) -> str:
    if not 0 < len(text) <= _MOST_ID_LENGTH:
        raise _wrong("grant_id", f"a grant_id has from 1 to {_MOST_ID_LENGTH} characters")
    return text


def _partition(text: str) -> str:
    if not 0 < len(text) <= _MOST_PARTITION_LENGTH:
        raise _wrong("partition", f"a partition has from 1 to {_MOST_PARTITION_LENGTH} characters")
    return text


def _amounts(message: limit_pb2.Amounts, field: str) -> Amounts:
    amounts = amounts_of(message)
    if amounts == NOTHING:
        return NOTHING
    numbers = (
        amounts.requests,
        amounts.input_tokens,
        amounts.output_tokens,
        amounts.cost_nanos,
        amounts.concurrency,
    )
    if min(numbers) < 0:
        raise _wrong(field, f"{field} holds a number that is less than nothing")
    if max(*numbers, amounts.input_tokens + amounts.output_tokens) > LARGEST_AMOUNT:
        raise _wrong(field, f"{field} holds more than can be counted exactly")
    return amounts


def _ttl(message: Duration, is_given: bool) -> float:  # noqa: FBT001 - whether the field is there
    if not is_given:
        return USUAL_TTL_SECONDS
    seconds = message.seconds + message.nanos / 1e9
    if not 0 < seconds <= LONGEST_TTL_SECONDS:
        raise _wrong("ttl", "a ttl is above 0 and at most an hour")
    return seconds


def _wrong(field: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(message, field=field)
