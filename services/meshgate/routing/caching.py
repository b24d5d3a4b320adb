"""Answers that are kept: a request that has been answered already need not go upstream."""

import time
from collections.abc import Awaitable, Callable
from functools import partial

from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import Struct
from msgspec.structs import replace

from meshgate.config.snapshot import CachePolicy, Model
from meshgate.dialects.keeping import Keeping, KeptStream, keeping
from meshgate.dialects.meshgate_chat.usage import write_finish_reason, write_usage
from meshgate.routing.cache_control import NOTHING_SAID, CacheControl
from meshgate.routing.consumption import consumption, is_sensible
from meshgate.routing.fingerprint import Fingerprint, fingerprint, partition
from meshgate.routing.flights import Flight, Flights
from meshgate.routing.kept_stream import KeptChunks, ToldAgain
from meshgate.routing.limit_headers import limit_headers
from meshgate.routing.meter import Meter
from meshgate.routing.model_header import model_header
from meshgate.routing.peers.cache import LOOKUPS, Answers, NoAnswers, Place
from meshgate.routing.pieces import Pieces
from meshgate.routing.question import DIALECT_NAMES, Question
from meshgate.routing.reply import Reply
from meshgate.v1 import cache_service_pb2
from meshgate.v1 import usage_record_pb2 as pb

Ask = Callable[[], Awaitable[Reply]]
"""Has a question answered upstream."""

_WORDS = {
    pb.CACHE_OUTCOME_HIT: "hit",
    pb.CACHE_OUTCOME_MISS: "miss",
    pb.CACHE_OUTCOME_BYPASS: "bypass",
}


class Visit(Struct, frozen=True):
    """One request that comes by.

    Attributes:
        meter: Follows it.
        policy: What its model says of answers that are kept.
        keeping: How those of its dialect are.
        place: Where its answer would lie.
        control: What its client says.
        pieces: What it asks for, where the answers to each are kept by themselves.
        joins: Whether new answers may be put together with those that are kept.
    """

    meter: Meter
    policy: CachePolicy
    keeping: Keeping
    place: Place
    control: CacheControl
    pieces: Pieces | None = None
    joins: bool = False

    @property
    def question(self) -> Question:
        return self.meter.question


class Caching:
    """Answers requests from what is kept, and keeps answers.

    Of equal requests for plain answers that are here at the same time, one goes upstream and the others
    wait for its answer. Streamed ones go by themselves: to wait for a whole answer is not to stream it.

    Args:
        answers: Keeps them.
        now: Seconds since 1970.
    """

    def __init__(
        self, answers: Answers | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self._answers = answers or NoAnswers()
        self._now = now
        self._flights: Flights[cache_service_pb2.CacheEntry] = Flights()

    async def reply(self, meter: Meter, model: Model, ask: Ask) -> Reply:
        """The reply to a request that was admitted: from what is kept, or by asking.

        Raises:
            GatewayError: Of the asking; what goes wrong with the cache is none.
        """
        visit = _visit(meter, model)
        if visit is None:
            return _noted(await _asked(meter, ask, pb.CACHE_OUTCOME_BYPASS), meter)
        if visit.control == NOTHING_SAID and not meter.question.head.stream:
            return await self._together(visit, ask)
        if not visit.control.wants_fresh:
            entry = await self._find(visit)
            reply = None if entry is None else self._told(visit, entry)
            if reply is not None:
                return reply
            return await self._fetch(visit, ask, pb.CACHE_OUTCOME_MISS)
        return await self._fetch(visit, ask, pb.CACHE_OUTCOME_BYPASS)

    # ------------------------------------------------------------- from what is kept

    async def _together(self, visit: Visit, ask: Ask) -> Reply:
        found = await self._flights.join(visit.place, visit.question.arrival.deadline)
        if isinstance(found, Flight):
            with found as flight:
                entry = await self._find(visit)
                reply = None if entry is None else self._told(visit, entry)
                if reply is None:
                    return await self._fetch(visit, ask, pb.CACHE_OUTCOME_MISS, flight)
                flight.land(entry)
                return reply
        reply = None if found is None else self._told(visit, found)
        return reply or await self._fetch(visit, ask, pb.CACHE_OUTCOME_MISS)

    async def _find(self, visit: Visit) -> cache_service_pb2.CacheEntry | None:
        question, pieces, max_age = visit.question, visit.pieces, visit.control.max_age_seconds
        if pieces is None:
            return await self._answers.find(question, visit.place, max_age)
        entry = pieces.take(await self._answers.find_all(question, pieces.places, max_age))
        if entry is None and not visit.joins:
            pieces.forget()
        return entry

    def _told(self, visit: Visit, entry: cache_service_pb2.CacheEntry) -> Reply | None:
        """A kept answer as the client wants it, and the request settled; None if it cannot be told."""
        question, meter = visit.question, visit.meter
        if entry.dialect != question.dialect:
            return None
        chunks = None
        if question.head.stream:
            events = visit.keeping.streamed(
                entry.body, entry.create_time.seconds, include_usage=question.head.include_usage
            )
            if events is None:
                return None
            chunks = ToldAgain(events)
        meter.notes.cache = pb.CACHE_OUTCOME_HIT
        meter.notes.saved.CopyFrom(_saved(entry))
        meter.saved()
        headers = (
            *limit_headers(meter.parts),
            model_header(question.head.model),
            ("x-meshgate-provider", entry.provider),
            ("x-meshgate-attempts", "0"),
        )
        return _noted(Reply(headers, meter.bill, b"" if chunks else entry.body, chunks), meter)

    # ------------------------------------------------------------- from upstream

    async def _fetch(
        self,
        visit: Visit,
        ask: Ask,
        outcome: pb.CacheOutcome.ValueType,
        flight: Flight[cache_service_pb2.CacheEntry] | None = None,
    ) -> Reply:
        """Have it answered upstream, and keep that."""
        if visit.pieces is not None:
            return await self._fetch_missing(visit, visit.pieces, ask, outcome, flight)
        reply = _noted(await _asked(visit.meter, ask, outcome), visit.meter)
        if reply.chunks is not None:
            return self._listening(visit, reply)
        entry = self._entry(visit, reply.body)
        self._keep(visit, visit.place, entry)
        if flight is not None:
            flight.land(entry)
        return reply

    async def _fetch_missing(
        self,
        visit: Visit,
        pieces: Pieces,
        ask: Ask,
        outcome: pb.CacheOutcome.ValueType,
        flight: Flight[cache_service_pb2.CacheEntry] | None,
    ) -> Reply:
        """Have those pieces answered that are not kept, and keep each of them."""
        meter = visit.meter
        meter.question = pieces.narrowed(meter.question)
        saved = pieces.saved
        if saved is not None:
            meter.notes.saved.CopyFrom(_saved(saved))
        try:
            reply = _noted(await _asked(meter, ask, outcome), meter)
            fresh = pieces.read(reply.body)
        except BaseException:
            meter.notes.ClearField("saved")  # nobody got it
            raise
        if fresh is None:
            return reply
        body = pieces.completed(reply.body, fresh, meter.usage)
        made = self._entry(visit, reply.body)
        if made is not None:
            for place, entry in pieces.entries(made, fresh):
                self._keep(visit, place, entry)
            if flight is not None:
                flight.land(pieces.whole(made, body))
        return replace(reply, body=body)

    def _listening(self, visit: Visit, reply: Reply) -> Reply:
        listener = visit.keeping.listen(int(self._now()), visit.policy.maximum_bytes)
        if reply.chunks is None or listener is None or visit.control.forbids_keeping:
            return reply

        def keep(listened: KeptStream) -> None:
            body = listened.body(visit.meter.usage)
            entry = None if body is None else self._entry(visit, body)
            self._keep(visit, visit.place, entry)

        return replace(reply, chunks=KeptChunks(reply.chunks, listener, keep))

    def _keep(self, visit: Visit, place: Place, entry: cache_service_pb2.CacheEntry | None) -> None:
        if (
            entry is not None
            and not visit.control.forbids_keeping
            and len(entry.body) <= visit.policy.maximum_bytes
        ):
            self._answers.keep(visit.question, place, entry, visit.policy.ttl_seconds)

    def _entry(self, visit: Visit, body: bytes) -> cache_service_pb2.CacheEntry | None:
        """An answer as it is kept; None for one that is for nobody else.

        That of a fallback is not: it would stand in for the model for long after that is well again.
        """
        meter, question = visit.meter, visit.question
        reason = visit.keeping.good_end(body)
        if (
            reason is None
            or meter.outcome != pb.REQUEST_OUTCOME_ANSWERED
            or meter.answering_model != question.head.model
        ):
            return None
        usage, target = meter.usage, meter.target
        cost = None
        if usage is not None and is_sensible(usage):
            cost = consumption(target, usage, asked_tier=question.head.service_tier).cost_nanos
        created_at = Timestamp()
        created_at.FromNanoseconds(int(self._now() * 1e9))
        return cache_service_pb2.CacheEntry(
            dialect=question.dialect,
            body=body,
            served_model=meter.served_model,
            usage=write_usage(usage),
            finish_reason=write_finish_reason(reason),
            provider=target.provider,
            cost_nanos=cost,
            create_time=created_at,
        )


def _visit(meter: Meter, model: Model) -> Visit | None:
    """The visit of a request; None for one that cannot be told from others, or not be told again."""
    question, policy = meter.question, model.cache
    kept = keeping(DIALECT_NAMES[question.dialect])
    found = None if kept is None else fingerprint(question, kept)
    if policy is None or kept is None or found is None:
        return None
    if question.head.stream and not found.tells_alike:
        return None
    whose = partition(question.principal, policy.scope)
    return Visit(
        meter,
        policy,
        kept,
        Place(whose, found.digest),
        CacheControl.read(question.arrival.cache_control),
        _pieces(meter, model, kept, whose, found),
        joins=not model.fallbacks,
    )


def _pieces(
    meter: Meter, model: Model, kept: Keeping, whose: str, found: Fingerprint
) -> Pieces | None:
    """What a request asks for, piece by piece; None where its answer is kept as a whole.

    That is so where the targets of the model are different models upstream: what one has made does
    not go together with what another has.
    """
    if kept.piecewise is None or len({target.model for target in model.targets}) > 1:
        return None
    if not found.pieces:
        return None
    estimated = partial(meter.gauges.estimator.input_tokens, model.name)
    weights = [
        estimated(each.piece.text_bytes) if each.piece.tokens is None else each.piece.tokens
        for each in found.pieces
    ]
    return Pieces(kept.piecewise, [Place(whose, each.digest) for each in found.pieces], weights)


async def _asked(meter: Meter, ask: Ask, outcome: pb.CacheOutcome.ValueType) -> Reply:
    meter.notes.cache = outcome
    return await ask()


def _noted(reply: Reply, meter: Meter) -> Reply:
    """The reply with what the cache had to say, counted."""
    word = _WORDS[meter.notes.cache]
    LOOKUPS.of(word).value += 1
    return replace(reply, headers=(*reply.headers, ("x-meshgate-cache", word)))


def _saved(entry: cache_service_pb2.CacheEntry) -> pb.Charge:
    """What an answer had consumed when it was made."""
    return pb.Charge(
        provider=entry.provider,
        served_model=entry.served_model,
        usage=entry.usage if entry.HasField("usage") else None,
        cost_nanos=entry.cost_nanos if entry.HasField("cost_nanos") else None,
    )
