"""A request's way, from the call to the answer."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from meshgate.config.snapshot import Model, Snapshot
from meshgate.dialects.answers import RequestHead
from meshgate.routing.arrival import Arrival
from meshgate.routing.attempt_spans import attempts_within
from meshgate.routing.attempts import Answered, Attempts
from meshgate.routing.caching import Caching
from meshgate.routing.guarded_stream import GuardedStream
from meshgate.routing.guarding import Guard, Guarding
from meshgate.routing.limit_headers import limit_headers, refusal_headers
from meshgate.routing.meter import Meter
from meshgate.routing.metered_stream import MeteredStream
from meshgate.routing.metering import Metering
from meshgate.routing.model_header import model_header
from meshgate.routing.observation import described
from meshgate.routing.peers.auth import PrincipalCache
from meshgate.routing.peers.provider import Headers, PlainAnswer, Providers, StreamedAnswer
from meshgate.routing.planning import Plan, Planner, served
from meshgate.routing.principal import Principal
from meshgate.routing.question import Question
from meshgate.routing.reply import Reply
from meshgate.routing.uploads.upload import Upload
from meshgate.runtime.errors import ContentBlockedError, GatewayError, LimitExceededError
from meshgate.runtime.tracing import NO_TRACER, Span, Tracer, error_type
from meshgate.v1 import provider_service_pb2 as pb
from meshgate.v1 import usage_record_pb2

_SERVER_ERROR = 500

ReadHead = Callable[[bytes], RequestHead]
"""Reads what routing needs of a body. Raises InvalidRequestError."""


class Beside(Struct, frozen=True):
    """What stands beside a request's way; without any of it requests are answered all the same.

    Attributes:
        attempts: How answers are tried for.
        caching: Knows answers that were given before.
        guarding: What may pass.
        tracer: Records requests.
    """

    attempts: Attempts = msgspec.field(default_factory=Attempts)
    caching: Caching = msgspec.field(default_factory=Caching)
    guarding: Guarding = msgspec.field(default_factory=Guarding)
    tracer: Tracer = NO_TRACER


class Pipeline:
    """Answers questions. Knows no dialect and no transport.

    Args:
        principals: Who calls.
        metering: What they may use.
        providers: Who answers.
        snapshot: The configuration, as it is now.
        beside: What else there is on the way.
    """

    def __init__(
        self,
        principals: PrincipalCache,
        metering: Metering,
        providers: Providers,
        snapshot: Callable[[], Snapshot],
        beside: Beside | None = None,
    ) -> None:
        beside = beside or Beside()
        self._principals = principals
        self._metering = metering
        self._providers = providers
        self._snapshot = snapshot
        self._attempts = beside.attempts
        self._caching = beside.caching
        self._guarding = beside.guarding
        self._tracer = beside.tracer

    async def answer(
        self,
        arrival: Arrival,
        dialect: pb.Dialect.ValueType,
        body: bytes,
        read_head: ReadHead,
        upload: Upload | None = None,
    ) -> Reply:
        """The whole way of one request, with the files that its body announces.

        Raises:
            GatewayError: It got no answer.
        """
        span = self._tracer.serve(arrival.method, arrival.traceparent)
        if span.is_recorded:
            arrival = replace(arrival, span=span, traceparent=span.traceparent)
        try:
            principal = await self._principals.authenticate(arrival)  # before the body is read
            head = read_head(body)
            snapshot = self._snapshot()
            model = _allowed(principal, head.model, snapshot)
            arrival = arrival.within(model.timeouts.total_seconds)  # all attempts together
            question = Question(
                arrival, principal, head, dialect, body, snapshot.revision, upload=upload
            )
            described(span, question)
            guard = self._guarding.guard(model, snapshot) if model.guardrails else None
            plans = Planner(snapshot).plans(head.model)
            return await self._metered(question, model, plans, guard)
        except BaseException as error:
            if isinstance(error, LimitExceededError):
                error.headers = refusal_headers(error)
            _fail(span, error)
            span.end()
            raise

    async def _metered(
        self, question: Question, model: Model, plans: Iterable[Plan], guard: Guard | None
    ) -> Reply:
        meter = await self._metering.open(question)
        try:
            if guard is not None:
                await _admit(meter, guard)
            if model.cache is not None:
                ask = self._streamed if question.head.stream else self._plain
                asked = partial(ask, meter, plans, guard)
                return await self._caching.reply(meter, model, asked)
            if question.head.stream:
                return await self._streamed(meter, plans, guard)
            return await self._plain(meter, plans, guard)
        except BaseException as error:
            _fail(question.arrival.span, error)
            meter.left()
            raise

    async def _plain(self, meter: Meter, plans: Iterable[Plan], guard: Guard | None) -> Reply:
        span = meter.question.arrival.span
        execute = meter.metered(attempts_within(span, self._providers.execute))
        answered = await self._attempts.first_good(meter.question, plans, execute)
        answer = answered.answer
        meter.upstream_took(answer.upstream_seconds)
        if guard is not None:
            return Reply(_headers(answered, meter), meter.bill, await _shown(answer, meter, guard))
        meter.answered(answer.usage, answer.served_model, answer.body)
        return Reply(_headers(answered, meter), meter.bill, answer.body)

    async def _streamed(self, meter: Meter, plans: Iterable[Plan], guard: Guard | None) -> Reply:
        span = meter.question.arrival.span
        execute = meter.metered(attempts_within(span, self._providers.stream))
        answered = await self._attempts.first_good(meter.question, plans, execute)
        chunks, watch = answered.answer.chunks, guard and guard.stream(meter.question)
        stream = GuardedStream(chunks, meter, watch) if watch else MeteredStream(chunks, meter)
        return Reply(_headers(answered, meter), meter.bill, chunks=stream)

    async def authenticate(self, arrival: Arrival) -> Principal:
        """Who calls, before anything is read of what he says.

        Raises:
            GatewayError: The caller is not known.
        """
        return await self._principals.authenticate(arrival)

    async def models(self, arrival: Arrival) -> list[str]:
        """The models that the caller may use, in the order of the configuration.

        Raises:
            GatewayError: The caller is not known.
        """
        principal = await self._principals.authenticate(arrival)
        return [name for name in self._snapshot().models if principal.may_use(name)]

    async def model(self, arrival: Arrival, name: str) -> str:
        """A model that the caller may use.

        Raises:
            GatewayError: The caller is not known, or may not, or there is none.
        """
        principal = await self._principals.authenticate(arrival)
        return _allowed(principal, name, self._snapshot()).name


async def _admit(meter: Meter, guard: Guard) -> None:
    """Let the request go on as the guard lets it pass.

    Raises:
        GatewayError: It may not.
    """
    meter.findings = guard.findings
    try:
        meter.question = await guard.admitted(meter.question)
    except ContentBlockedError:
        meter.blocked()
        raise


async def _shown(answer: PlainAnswer, meter: Meter, guard: Guard) -> bytes:
    """A plain answer as it may be shown; all of it is booked, whatever that is.

    Raises:
        GatewayError: It may not, for nobody can look at it.
    """
    outcome = usage_record_pb2.REQUEST_OUTCOME_FAILED
    try:
        shown = await guard.shown(meter.question, answer.body)
        blocked = usage_record_pb2.REQUEST_OUTCOME_BLOCKED
        outcome = blocked if shown.is_blocked else usage_record_pb2.REQUEST_OUTCOME_ANSWERED
    except asyncio.CancelledError:
        outcome = usage_record_pb2.REQUEST_OUTCOME_CANCELLED
        raise
    finally:
        meter.answered(answer.usage, answer.served_model, answer.body, outcome)
    return shown.data


def _allowed(principal: Principal, name: str, snapshot: Snapshot) -> Model:
    """The model, if there is one, and for this principal."""
    model = served(snapshot, name)
    principal.check(name)
    return model


def _fail(span: Span, error: BaseException) -> None:
    if span.is_recorded:
        status = error.http_status if isinstance(error, GatewayError) else _SERVER_ERROR
        is_ours = isinstance(error, Exception) and status >= _SERVER_ERROR
        span.fail(error_type(error), is_ours=is_ours)


def _headers(answered: Answered[PlainAnswer] | Answered[StreamedAnswer], meter: Meter) -> Headers:
    return (
        *answered.answer.headers,
        *limit_headers(meter.parts),
        model_header(answered.model),
        ("x-meshgate-provider", answered.target.provider),
        ("x-meshgate-attempts", str(answered.attempts)),
    )
