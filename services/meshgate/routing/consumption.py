"""What the attempts of a request consumed, and the record of it."""

import time
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import Struct

from meshgate.config.snapshot import Target
from meshgate.dialects.meshgate_chat.usage import write_usage
from meshgate.dialects.neutral import Usage
from meshgate.limits.amounts import Amounts
from meshgate.pricing.prices import cost_nanos
from meshgate.routing.question import Question
from meshgate.v1 import call_context_pb2
from meshgate.v1 import provider_service_pb2 as provider_pb
from meshgate.v1 import usage_record_pb2 as pb

DIALECT_NAMES = {
    number: name.removeprefix("DIALECT_").lower() for name, number in provider_pb.Dialect.items()
}

_NANOS = 1_000_000_000


class Consumption(Struct, frozen=True):
    """What one attempt consumed.

    Attributes:
        target: Whose attempt.
        usage: In tokens.
        served_model: The model that answered, as the upstream names it, if it did.
        is_estimated: Whether the usage was counted here, as the upstream reported none.
    """

    target: Target
    usage: Usage
    served_model: str = ""
    is_estimated: bool = False

    @property
    def cost_nanos(self) -> int | None:
        """What it cost; None where the target has no price."""
        prices, usage = self.target.prices, self.usage
        if prices is None:
            return None
        return cost_nanos(
            prices,
            usage.input_tokens,
            usage.cached_input_tokens,
            usage.cache_creation_input_tokens,
            usage.output_tokens,
        )

    @property
    def amounts(self) -> Amounts:
        """What limits count of it, the request itself aside."""
        usage = self.usage
        return Amounts(0, usage.input_tokens, usage.output_tokens, self.cost_nanos or 0)


def usage_record(
    hold_id: str,
    question: Question,
    consumptions: Sequence[Consumption],
    outcome: pb.RequestOutcome.ValueType,
    attempts: int,
    began_at_nanos: int,
) -> pb.UsageRecord:
    """The record of a request; `began_at_nanos` is since 1970."""
    arrival, principal = question.arrival, question.principal
    return pb.UsageRecord(
        hold_id=hold_id,
        request_id=arrival.request_id,
        traceparent=arrival.traceparent,
        principal_id=principal.principal_id,
        key_id=principal.key_id,
        user_id=principal.user_id,
        team_id=principal.team_id,
        organization_id=principal.organization_id,
        tags=principal.tags,
        model=question.head.model,
        dialect=DIALECT_NAMES[question.dialect],
        charges=[_charge(consumption) for consumption in consumptions],
        outcome=outcome,
        config_revision=question.revision,
        origin=call_context_pb2.ORIGIN_REQUEST,
        start_time=_timestamp(began_at_nanos),
        end_time=_timestamp(time.time_ns()),
        attempt_count=attempts,
    )


def _charge(consumption: Consumption) -> pb.Charge:
    target = consumption.target
    return pb.Charge(
        provider=target.provider,
        model=target.model,
        served_model=consumption.served_model,
        usage=write_usage(consumption.usage),
        cost_nanos=consumption.cost_nanos,
        price_version=target.prices.version if target.prices else "",
        estimated=consumption.is_estimated,
    )


def _timestamp(nanos: int) -> Timestamp:
    return Timestamp(seconds=nanos // _NANOS, nanos=nanos % _NANOS)
