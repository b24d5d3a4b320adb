"""What the operators see of requests: metrics, and what spans say in the end.

All of it is seen to when a request is concluded, and nobody waits for it any more.
"""

from collections.abc import Sequence

from meshgate.dialects.operations import operation_in
from meshgate.routing.consumption import Ending
from meshgate.routing.metered_attempt import MeteredAttempt
from meshgate.routing.question import DIALECT_NAMES, Question
from meshgate.runtime.counts import LabelledCounts
from meshgate.runtime.durations import DurationHistogram
from meshgate.runtime.tracing import Span, Value
from meshgate.v1 import usage_record_pb2 as pb

OVERHEAD_BOUNDS_SECONDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)

_OVERHEAD = DurationHistogram(
    "meshgate_overhead_duration_seconds",
    "What answered requests took in routing, apart from the time that upstreams took.",
    ("answer",),
    bounds=OVERHEAD_BOUNDS_SECONDS,
)
_PLAIN, _STREAMED = map(_OVERHEAD.of, ("plain", "streamed"))
_COST = LabelledCounts(
    "meshgate_cost_usd", "What attempts cost, in US dollars.", ("model", "provider")
)
_PRICE_LOOKUPS = LabelledCounts(
    "meshgate_price_lookups", "Attempts with a usage, by where its price comes from.", "status"
)
_LOOKUPS = {status: _PRICE_LOOKUPS.of(status) for status in ("configured", "table", "unpriced")}
_ATTEMPTS = LabelledCounts(
    "meshgate_attempts", "Attempts at upstreams, by how they went.", ("provider", "outcome")
)

_NANOS = 1e9
_OUTCOMES = {
    number: name.removeprefix("REQUEST_OUTCOME_").lower()
    for name, number in pb.RequestOutcome.items()
}
_LAST_ATTEMPT = {
    pb.REQUEST_OUTCOME_FAILED: "broken",
    pb.REQUEST_OUTCOME_CANCELLED: "cancelled",
}


def concluded(question: Question, attempts: Sequence[MeteredAttempt], ending: Ending) -> None:
    """Take note of a request that has ended."""
    for attempt in attempts:
        outcome = attempt.failure or _LAST_ATTEMPT.get(ending.outcome, "answered")
        _ATTEMPTS.of(attempt.target.provider, outcome).value += 1
        _note_cost(question.head.model, attempt)
    if ending.outcome == pb.REQUEST_OUTCOME_ANSWERED:
        _note_overhead(question, attempts, ending)
    span = question.arrival.span
    if span.is_recorded:
        _conclude(span, attempts, ending)


def _note_cost(model: str, attempt: MeteredAttempt) -> None:
    consumed = attempt.consumption
    if consumed is None:
        return
    _LOOKUPS[attempt.target.price_status].value += 1
    if consumed.cost_nanos is not None:
        _COST.of(model, attempt.target.provider).value += consumed.cost_nanos / _NANOS


def _note_overhead(question: Question, attempts: Sequence[MeteredAttempt], ending: Ending) -> None:
    upstream_seconds = 0.0
    for attempt in attempts:
        if attempt.upstream_seconds is None:
            return  # an older provider does not say
        upstream_seconds += attempt.upstream_seconds
    overhead = _STREAMED if question.head.stream else _PLAIN
    # Two clocks of two processes: the difference of what they measured may be less than nothing.
    overhead.observe(max(0.0, ending.ended_at - question.arrival.arrived_at - upstream_seconds))


# ------------------------------------------------------------- spans


def described(span: Span, question: Question) -> None:
    """Say on the span of a request who asks for what. Never the text."""
    if not span.is_recorded:
        return
    principal = question.principal
    named: dict[str, Value] = {
        "gen_ai.operation.name": operation_of(question),
        "gen_ai.request.model": question.head.model,
        "meshgate.request.id": question.arrival.request_id,
        "meshgate.organization.id": principal.organization_id,
        "meshgate.team.id": principal.team_id,
        "meshgate.key.id": principal.key_id,
        "meshgate.config.revision": question.revision,
    }
    span.note({name: value for name, value in named.items() if value})


def operation_of(question: Question) -> str:
    """What is asked for, in OpenTelemetry's word."""
    return operation_in(DIALECT_NAMES[question.dialect])


def _conclude(span: Span, attempts: Sequence[MeteredAttempt], ending: Ending) -> None:
    outcome = _OUTCOMES[ending.outcome]
    consumptions = [attempt.consumption for attempt in attempts if attempt.consumption]
    noted: dict[str, Value] = {
        "meshgate.outcome": outcome,
        "meshgate.attempts": len(attempts),
        "gen_ai.usage.input_tokens": sum(each.usage.input_tokens for each in consumptions),
        "gen_ai.usage.output_tokens": sum(each.usage.output_tokens for each in consumptions),
    }
    if attempts:
        noted["gen_ai.provider.name"] = attempts[-1].target.provider
    if consumptions and consumptions[-1].served_model:
        noted["gen_ai.response.model"] = consumptions[-1].served_model
    costs = [each.cost_nanos for each in consumptions if each.cost_nanos is not None]
    if costs:
        noted["meshgate.cost.usd"] = sum(costs) / _NANOS
    span.note(noted)
    if ending.outcome == pb.REQUEST_OUTCOME_CANCELLED:
        span.fail("cancelled", is_ours=False)
    span.end(ending.ended_at_nanos)
