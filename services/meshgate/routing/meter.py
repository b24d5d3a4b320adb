"""A meter follows one request from its admission until it is settled, exactly once."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import structlog

from meshgate.config.snapshot import Target
from meshgate.dialects import metering as dialects
from meshgate.dialects.neutral import Usage
from meshgate.limits.amounts import NOTHING, Amounts
from meshgate.routing import observation
from meshgate.routing.attempts import LEAST_SECONDS_AGAIN, Execute
from meshgate.routing.bill import Bill
from meshgate.routing.chain import Chain
from meshgate.routing.consumption import Consumption, Ending, at_least, consumption, is_sensible
from meshgate.routing.demand import Demand
from meshgate.routing.failure import Failure
from meshgate.routing.gauges import Gauges
from meshgate.routing.metered_attempt import REQUEST, MeteredAttempt
from meshgate.routing.peers.quota.grant import new_grant_id
from meshgate.routing.peers.quota.part import Part
from meshgate.routing.peers.quota.quota import admitted
from meshgate.routing.planning import Plan
from meshgate.routing.question import DIALECT_NAMES, Question
from meshgate.routing.usage_counting import NOTHING_WRITTEN, Written
from meshgate.runtime.errors import (
    DeadlineExceededError,
    GatewayError,
    LimitExceededError,
    ModelUnpricedError,
)
from meshgate.runtime.telemetry import described
from meshgate.v1 import usage_record_pb2 as pb
from meshgate.v1.guardrails_service_pb2 import Finding

_log = structlog.get_logger("meshgate.routing")

Answer = TypeVar("Answer")


class Meter:
    """Follows one request.

    Args:
        gauges: What all meters share.
        question: What is asked.
        demand: What is set aside for it.

    Attributes:
        parts: Where that was set aside, of the chains of its principal.
        findings: What guardrails have found until now.
        bill: What it has cost, once it is over.
        outcome: How the last attempt ended, as soon as it has.
        usage: What its upstream reported, if it did.
        served_model: Who answered, as the upstream names it.
        answering_model: The public name of the model that was tried last.
    """

    def __init__(self, gauges: Gauges, question: Question, demand: Demand) -> None:
        self.question = question
        self.demand = demand
        self.parts: list[Part] = []
        self.findings: Sequence[Finding] = ()
        self.gauges = gauges
        self.dialect = dialects.meter(DIALECT_NAMES[question.dialect])
        self._attempts: list[MeteredAttempt] = []
        self.bill = Bill(self._attempts, question.arrival.deadline)
        self._made_up = NOTHING
        self._began_at_nanos = self._ended_at_nanos = time.time_ns()
        self._ended_at = 0.0
        self._is_settled = False
        self._notes: pb.UsageRecord | None = None
        self.outcome = pb.REQUEST_OUTCOME_UNSPECIFIED
        self.usage: Usage | None = None
        self.served_model = ""
        self.answering_model = ""

    @property
    def notes(self) -> pb.UsageRecord:
        """What its record is to say besides; to be written into before it is settled."""
        if self._notes is None:
            self._notes = pb.UsageRecord()
        return self._notes

    @property
    def target(self) -> Target:
        """Who was tried last."""
        return self._attempts[-1].target

    # ------------------------------------------------------------- attempts

    def metered(self, execute: Execute[Answer]) -> Execute[Answer]:
        """The same, under the limits of each model and target that is tried."""

        async def run(question: Question, plan: Plan, target: Target) -> Answer | Failure:
            attempt = MeteredAttempt(target)
            if self._attempts:
                await self._make_up()
            failure = await self._admit(attempt, plan, question)
            if failure is not None:
                return failure
            self._attempts.append(attempt)
            self.answering_model = plan.model.name
            try:
                result = await execute(question, plan, target)
            except GatewayError:
                attempt.refused()
                raise
            if isinstance(result, Failure):
                attempt.failed(result, self._consumed(result))
            return result

        return run

    def _consumed(self, failure: Failure) -> Consumption | None:
        """What a failed attempt consumed, as far as that is known."""
        if failure.usage is not None and is_sensible(failure.usage):
            return self._consumption(failure.usage)
        if failure.kind == "timeout" and self._is_late():
            # Nobody waits for it any more, but the upstream has read the question at least.
            usage = self.gauges.usage.estimated(self.question)
            return self._consumption(usage, is_estimated=True)
        return None

    def _consumption(
        self, usage: Usage, served_model: str = "", *, is_estimated: bool = False
    ) -> Consumption:
        """What the last attempt consumed."""
        return consumption(
            self._attempts[-1].target,
            usage,
            served_model,
            is_estimated=is_estimated,
            asked_tier=self.question.head.service_tier,
        )

    def _is_late(self) -> bool:
        """Whether the deadline of the request has come."""
        try:
            return self.question.arrival.deadline.seconds_left() < LEAST_SECONDS_AGAIN
        except DeadlineExceededError:
            return True

    async def _make_up(self) -> None:
        """Under strict limits: hold for the next attempt what the last one has taken of the hold.

        Raises:
            LimitExceededError: There is not enough left.
            ServiceUnavailableError: Quota does not answer.
            DeadlineExceededError: There was no time to ask.
        """
        if not self.demand.is_strict:
            return
        consumed = NOTHING
        for attempt in self._attempts:
            consumed += attempt.consumption.amounts if attempt.consumption else NOTHING
        missing = consumed.minus(self._made_up)
        await self._hold_more(
            [part for part in self.parts if part.chain.use_of(missing) != NOTHING], missing
        )
        self._made_up = consumed

    async def _admit(
        self, attempt: MeteredAttempt, plan: Plan, question: Question
    ) -> Failure | None:
        target = attempt.target
        chains = self.gauges.chains_of(plan, target)
        is_unpriced = target.prices is None and not question.head.is_free
        if is_unpriced and self._counts_cost(chains):
            return Failure("unsupported", target.provider, error=_unpriced(plan, target))
        if not chains:
            return None
        amounts = self.demand.amounts
        try:
            attempt.parts = await admitted(self.gauges.quota, chains, amounts, question.arrival)
        except LimitExceededError as error:
            # Another target may have room.
            return Failure(
                "rate_limited",
                target.provider,
                retry_after_seconds=error.retry_after_seconds,
                error=error,
            )
        return None

    def _counts_cost(self, chains: Sequence[Chain]) -> bool:
        return any(part.chain.counts_cost for part in self.parts) or any(
            chain.counts_cost for chain in chains
        )

    @property
    def counted_parts(self) -> Sequence[Part]:
        """What is held of the limits that grow with the answer."""
        parts = [*self.parts, *self._attempts[-1].parts]
        return [part for part in parts if part.chain.counts_output]

    async def ask_more(self, tokens: int) -> None:
        """Hold so many more tokens to be written, under all limits or under none.

        Raises:
            LimitExceededError: One of them is reached.
            ServiceUnavailableError: Quota does not answer.
            DeadlineExceededError: There was no time to ask.
        """
        amounts = self.gauges.demands.more_output(
            self.question.head, tokens, self.demand.amounts.input_tokens
        )
        await self._hold_more(self.counted_parts, amounts)

    async def _hold_more(self, parts: Sequence[Part], amounts: Amounts) -> None:
        chains = [part.chain for part in parts]
        extra = await admitted(self.gauges.quota, chains, amounts, self.question.arrival)
        for part, more in zip(parts, extra, strict=True):
            if self._is_settled:
                more.give_back()  # it ended meanwhile
            else:
                part.extend(more)

    # ------------------------------------------------------------- endings

    def upstream_took(self, seconds: float | None) -> None:
        """How long the last attempt was with the upstream, where that is known."""
        self._attempts[-1].upstream_seconds = seconds

    def answered(
        self,
        usage: Usage | None,
        served_model: str,
        body: bytes,
        outcome: pb.RequestOutcome.ValueType = pb.REQUEST_OUTCOME_ANSWERED,
    ) -> None:
        """A plain answer came, whatever became of it then."""
        size = len(body)
        written = Written(lambda: self.dialect.answer_texts(body), size, size)
        self.ended(outcome, usage, served_model, written)

    def blocked(self) -> None:
        """The request may not pass: it counts as one, and nobody is asked."""
        self._end()
        self._book(pb.REQUEST_OUTCOME_BLOCKED)

    def ended(
        self,
        outcome: pb.RequestOutcome.ValueType,
        usage: Usage | None,
        served_model: str,
        written: Written,
        *,
        is_partial: bool = False,
    ) -> None:
        """The last attempt is over. Only the first ending counts.

        Args:
            outcome: How the request ended.
            usage: What the upstream reported; None to count it here, in the background.
            served_model: Who answered, as the upstream names it.
            written: What was answered, to be counted.
            is_partial: Whether the usage may be what was known when the answer began: then no less
                counts as written than was, as it is counted here.
        """
        if self._is_settled:
            return
        self._end()
        self.outcome, self.usage, self.served_model = outcome, usage, served_model
        told = usage if usage is not None and is_sensible(usage) else None
        if told is None or (is_partial and written.size_bytes):
            self.bill.counting = self.gauges.quota.later(self._count(written, told))
        else:
            last = self._attempts[-1]
            last.consumption = self._consumption(told, served_model)
            self._soon(self._all_parts, partial(self._conclude, outcome, last.consumption))

    def saved(self) -> None:
        """The answer needed no attempt: it was there already."""
        if not self._is_settled:
            self._end()
            self._soon(self.parts, partial(self._book, pb.REQUEST_OUTCOME_ANSWERED))

    def counted(self, outcome: pb.RequestOutcome.ValueType, usage: Usage) -> None:
        """The last attempt is over, and its usage was counted here."""
        if not self._is_settled:
            self._end()
            self.outcome = outcome
            self._settle(outcome, self._consumption(usage, is_estimated=True))

    def left(self) -> None:
        """There will be no answer: nobody gave one, or nobody waits for it any more."""
        if self._is_settled:
            return
        if not self._attempts:
            self._end()
            for part in self.parts:
                part.give_back()
        elif self._attempts[-1].is_running:
            # The upstream has read the question at least.
            self.ended(pb.REQUEST_OUTCOME_CANCELLED, None, "", NOTHING_WRITTEN)
        else:
            self._end()
            self._book(pb.REQUEST_OUTCOME_FAILED)

    def _end(self) -> None:
        """Whatever comes now comes too late."""
        self._is_settled = True
        self._ended_at_nanos = time.time_ns()
        self._ended_at = time.monotonic()

    def _soon(self, parts: Sequence[Part], conclude: Callable[[], None]) -> None:
        """Conclude at once if somebody waits for what comes free, else when there is time."""
        if any(part.is_awaited for part in parts):
            conclude()
            return
        for part in parts:
            part.leave()
        self.gauges.quota.afterwards(conclude)

    @property
    def _all_parts(self) -> Sequence[Part]:
        """What is held under all limits, those of the last attempt's target included."""
        parts = self._attempts[-1].parts
        return [*self.parts, *parts] if parts else self.parts

    # ------------------------------------------------------------- booking

    async def count(self, written: Written) -> Usage:
        """What was used, counted here: the question, and what was answered."""
        usage, model = self.gauges.usage, self._attempts[-1].target.model
        try:
            return await usage.counted(self.question, self.dialect, model, written)
        except Exception as error:
            _log.error("tokens could not be counted, and are estimated", **described(error))
            return usage.estimated(self.question, written)

    async def _count(self, written: Written, told: Usage | None) -> None:
        usage = self.gauges.usage.estimated(self.question, written)
        try:
            usage = await self.count(written)
        finally:
            usage = usage if told is None else at_least(told, usage.output_tokens)
            is_estimated = usage is not told
            consumed = self._consumption(usage, self.served_model, is_estimated=is_estimated)
            self._settle(self.outcome, consumed)

    def _conclude(self, outcome: pb.RequestOutcome.ValueType, consumed: Consumption) -> None:
        """Learn from what the upstream reported, and book it."""
        if outcome == pb.REQUEST_OUTCOME_ANSWERED:
            self._learn(consumed.usage)
        self._settle(outcome, consumed)

    def _settle(self, outcome: pb.RequestOutcome.ValueType, consumed: Consumption) -> None:
        self._attempts[-1].settle(consumed)
        self._book(outcome)

    def _book(self, outcome: pb.RequestOutcome.ValueType) -> None:
        """Book the whole request under the limits of its principal, with its record."""
        ending = Ending(
            outcome,
            len(self._attempts),
            self._began_at_nanos,
            self._ended_at_nanos,
            self._ended_at,
            self.findings,
        )
        observation.concluded(self.question, self._attempts, ending)
        consumptions = [each.consumption for each in self._attempts if each.consumption]
        record = self.gauges.records.record(
            new_grant_id(), self.question, consumptions, ending, notes=self._notes
        )
        spent = REQUEST
        for each in consumptions:
            spent += each.amounts
        organization_id = self.question.principal.organization_id
        for part in self.parts:
            # The books of an organization lie in one place, whoever else has limits.
            keeps = part.grant is not None and part.chain.partition == organization_id
            part.settle(spent, record if keeps else b"")
            record = b"" if keeps else record
        if record:
            self.gauges.quota.record(organization_id, record)

    def _learn(self, usage: Usage) -> None:
        self.gauges.estimator.learn(
            self.question.head.model,
            len(self.question.body),
            usage.input_tokens,
            usage.output_tokens,
        )


def _unpriced(plan: Plan, target: Target) -> ModelUnpricedError:
    return ModelUnpricedError(
        f"the model {plan.model.name!r} has no price at {target.provider!r}, so that no budget can"
        " be kept with it: give its target `prices`, or use another model",
        model=plan.model.name,
        provider=target.provider,
    )
