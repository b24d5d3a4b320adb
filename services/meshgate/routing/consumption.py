"""What the attempts of a request consumed, and the record of it."""

from collections import OrderedDict
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import Struct
from msgspec.structs import astuple, replace

from meshgate.config.snapshot import Target
from meshgate.dialects.meshgate_chat.usage import set_usage
from meshgate.dialects.neutral import Usage
from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import LARGEST_COST_NANOS
from meshgate.pricing.cost import NO_PARTS, cost_nanos
from meshgate.pricing.prices import Prices
from meshgate.routing.principal import Principal
from meshgate.routing.question import DIALECT_NAMES, Question
from meshgate.routing.usage_parts import parts_of
from meshgate.v1 import call_context_pb2, guardrails_service_pb2
from meshgate.v1 import usage_record_pb2 as pb

_NANOS = 1_000_000_000
_MOST_KINDS = 10_000

_Kind = tuple[str, str, int, str]
"""Principal, model, dialect and configuration."""


class Consumption(Struct, frozen=True):
    """What one attempt consumed.

    Attributes:
        target: Whose attempt.
        usage: In tokens.
        served_model: The model that answered, as the upstream names it, if it did.
        is_estimated: Whether the usage was counted here, as the upstream reported none.
        cost_nanos: What it cost; None where the target has no price.
        amounts: What limits count of it, the request itself aside.
    """

    target: Target
    usage: Usage
    served_model: str
    is_estimated: bool
    cost_nanos: int | None
    amounts: Amounts


def is_sensible(usage: Usage) -> bool:
    """Whether there can be such a usage: none of it is less than nothing."""
    counts: tuple[int, ...] = astuple(usage)[:-1]  # the last is the service tier
    return min(counts) >= 0


def at_least(usage: Usage, output_tokens: int) -> Usage:
    """The same usage, where so much was written; else with that."""
    if usage.output_tokens >= output_tokens:
        return usage
    return replace(usage, output_tokens=output_tokens)


def consumption(
    target: Target,
    usage: Usage,
    served_model: str = "",
    *,
    is_estimated: bool = False,
    asked_tier: str = "",
) -> Consumption:
    """What an attempt at a target consumed, at the target's prices.

    Args:
        target: Whose attempt.
        usage: In tokens.
        served_model: The model that answered.
        is_estimated: Whether the usage was counted here.
        asked_tier: The service tier that the request named. It counts where the answer names none
            and it is dearer than the usual one.
    """
    prices, cost = target.prices, None
    if prices is not None:
        if prices.is_plain:
            cost = cost_nanos(
                prices,
                usage.input_tokens,
                usage.cached_input_tokens,
                usage.cache_creation_input_tokens,
                usage.output_tokens,
            )
        else:
            cost = _cost_nanos(prices, usage, asked_tier)
        cost = min(cost, LARGEST_COST_NANOS)  # more cannot be counted
    amounts = Amounts(0, usage.input_tokens, usage.output_tokens, cost or 0)
    return Consumption(target, usage, served_model, is_estimated, cost, amounts)


def _cost_nanos(prices: Prices, usage: Usage, asked_tier: str) -> int:
    """What it costs in the tier that was served, or else in the dearer of those that may have been."""
    cost = _in_tier(prices, usage, usage.service_tier)
    if asked_tier and not usage.service_tier:
        return max(cost, _in_tier(prices, usage, asked_tier))
    return cost


def _in_tier(prices: Prices, usage: Usage, tier: str) -> int:
    return cost_nanos(
        prices,
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.cache_creation_input_tokens,
        usage.output_tokens,
        parts=NO_PARTS if prices.is_flat else parts_of(usage),
        tier=tier,
    )


class Ending(Struct, frozen=True):
    """How a request ended.

    Attributes:
        outcome: Whether it was answered.
        attempts: How many were made.
        began_at_nanos: When it came, in nanoseconds since 1970.
        ended_at_nanos: When it ended.
        ended_at: The same by the monotonic clock, in seconds.
        findings: What guardrails found in it and its answer.
    """

    outcome: pb.RequestOutcome.ValueType
    attempts: int
    began_at_nanos: int
    ended_at_nanos: int
    ended_at: float = 0.0
    findings: Sequence[guardrails_service_pb2.Finding] = ()


class UsageRecords:
    """Writes the records of requests.

    What the requests of a principal for a model have in common is written once and copied, which
    takes a third of the time.
    """

    def __init__(self) -> None:
        self._common: OrderedDict[_Kind, tuple[Principal, pb.UsageRecord]] = OrderedDict()

    def record(
        self,
        hold_id: str,
        question: Question,
        consumptions: Sequence[Consumption],
        ending: Ending,
        *,
        notes: pb.UsageRecord | None = None,
    ) -> bytes:
        """The record of a request, with what was noted besides, as a serialized UsageRecords."""
        arrival = question.arrival
        records = pb.UsageRecords()
        record = records.records.add()
        record.CopyFrom(self._common_of(question))
        record.hold_id = hold_id
        record.request_id = arrival.request_id
        if arrival.traceparent:
            record.traceparent = arrival.traceparent
        record.outcome = ending.outcome
        record.attempt_count = ending.attempts
        _set(record.start_time, ending.began_at_nanos)
        _set(record.end_time, ending.ended_at_nanos)
        if ending.findings:
            record.findings.extend(ending.findings)
        for consumed in consumptions:
            _add_charge(record, consumed)
        if notes is not None:
            record.MergeFrom(notes)
        return records.SerializeToString()

    def _common_of(self, question: Question) -> pb.UsageRecord:
        principal, model = question.principal, question.head.model
        kind = (principal.principal_id, model, question.dialect, question.revision)
        known = self._common.get(kind)
        if known is not None and known[0] is principal:
            return known[1]
        record = pb.UsageRecord(
            principal_id=principal.principal_id,
            key_id=principal.key_id,
            user_id=principal.user_id,
            team_id=principal.team_id,
            organization_id=principal.organization_id,
            tags=principal.tags,
            model=model,
            dialect=DIALECT_NAMES[question.dialect],
            config_revision=question.revision,
            origin=call_context_pb2.ORIGIN_REQUEST,
        )
        self._common[kind] = (principal, record)
        if len(self._common) > _MOST_KINDS:
            self._common.popitem(last=False)
        return record


def _add_charge(record: pb.UsageRecord, consumed: Consumption) -> None:
    target = consumed.target
    charge = record.charges.add()
    charge.provider = target.provider
    charge.model = target.model
    charge.served_model = consumed.served_model
    if consumed.is_estimated:
        charge.estimated = True
    if consumed.cost_nanos is not None and target.prices is not None:
        charge.cost_nanos = consumed.cost_nanos
        charge.price_version = target.prices.version
    set_usage(charge.usage, consumed.usage)


def _set(timestamp: Timestamp, nanos: int) -> None:
    timestamp.seconds = nanos // _NANOS
    timestamp.nanos = nanos % _NANOS
