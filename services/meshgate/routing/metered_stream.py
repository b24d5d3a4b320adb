"""A streamed answer on its way to the client, metered."""

import time

import structlog

from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.output_tally import OutputTally
from meshgate.routing.meter import Meter
from meshgate.routing.peers.provider import Chunks
from meshgate.routing.usage_counting import Written
from meshgate.runtime.errors import (
    DeadlineExceededError,
    GatewayError,
    LimitExceededError,
    ServiceUnavailableError,
)
from meshgate.runtime.tracing import error_type
from meshgate.v1 import usage_record_pb2 as pb

_log = structlog.get_logger("meshgate.routing")

_BYTES_PER_TOKEN = 3
_NEVER = 1 << 62
_LEAST_MORE_TOKENS = 64


class MeteredStream:
    """Passes chunks on, asks for more where an answer outgrows what was held for it, settles.

    Where no more is granted, the stream ends as its dialect ends one that has become too long. The end
    is passed on when all is settled: many clients leave as soon as they have seen it.

    Args:
        chunks: The answer, as it comes.
        meter: Of the request.
    """

    def __init__(self, chunks: Chunks, meter: Meter) -> None:
        self._chunks = chunks
        self._meter = meter
        self._tally = new_tally(meter)
        self._held_tokens = meter.demand.amounts.output_tokens
        self._ask_at_bytes = self._held_tokens * _BYTES_PER_TOKEN if self._may_outgrow() else _NEVER
        self._is_over = False

    def __aiter__(self) -> "MeteredStream":
        return self

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._ended(pb.REQUEST_OUTCOME_ANSWERED)
            raise
        except GatewayError as error:
            self._meter.question.arrival.span.fail(error_type(error))
            self._ended(pb.REQUEST_OUTCOME_FAILED)
            raise
        self._tally.take(chunk)
        if self._is_too_long() and not await self._has_more():
            return chunk + await self._end()
        return chunk if not self._tally.ended else await self._last(chunk)

    async def aclose(self) -> None:
        """Give up what is still to come. What came until now is settled."""
        self._ended(pb.REQUEST_OUTCOME_CANCELLED)
        await self._chunks.aclose()

    async def _last(self, chunk: bytes) -> bytes:
        """What goes to the client of the chunk that holds the end."""
        return chunk + await self._rest()

    async def _rest(self) -> bytes:
        """Wait for what the upstream reported of an answer that has come to its end, and settle it."""
        rest = b""
        try:
            while True:
                rest += await anext(self._chunks)
        except StopAsyncIteration:
            pass
        except GatewayError as error:
            _log.warning("an answer came whole, but not what it used", reason=error.reason)
        self._ended(pb.REQUEST_OUTCOME_ANSWERED)
        return rest

    def _ended(self, outcome: pb.RequestOutcome.ValueType) -> None:
        self._is_over = True
        chunks = self._chunks
        self._meter.upstream_took(chunks.upstream_seconds)
        self._meter.ended(
            outcome,
            chunks.usage,
            chunks.served_model,
            self._written(),
            is_partial=outcome == pb.REQUEST_OUTCOME_FAILED,
        )

    def _written(self) -> Written:
        tally = self._tally
        return Written(tally.texts, tally.text_bytes, tally.kept_bytes)

    # ------------------------------------------------------------- more than was held

    def _is_too_long(self) -> bool:
        """Whether more has come than was held for, and more is to come."""
        return self._tally.text_bytes > self._ask_at_bytes and not self._tally.ended

    def _may_outgrow(self) -> bool:
        """Whether the answer can become longer than what was held for it, and that matters."""
        meter = self._meter
        head = meter.question.head
        if meter.demand.output_cap is not None or not meter.counted_parts:
            return False
        most = head.max_output_tokens
        return most is None or most * head.choices > self._held_tokens

    async def _has_more(self) -> bool:
        """Ask for as much again, or for a little; whether anything was granted."""
        for tokens in (max(self._held_tokens, _LEAST_MORE_TOKENS), _LEAST_MORE_TOKENS):
            try:
                await self._meter.ask_more(tokens)
            except LimitExceededError:
                continue
            except (ServiceUnavailableError, DeadlineExceededError) as error:
                # The answer is half told: it goes on, and all of it is booked in the end.
                _log.warning("a stream goes on without a hold", reason=error.reason)
            self._held_tokens += tokens
            self._ask_at_bytes = self._held_tokens * _BYTES_PER_TOKEN
            return True
        return False

    async def _end(self) -> bytes:
        """End the stream as one that has become too long."""
        outcome = pb.REQUEST_OUTCOME_LIMITED
        return await self._end_early(self._tally, FinishReason.LENGTH, outcome)

    async def _end_early(
        self, tally: OutputTally, reason: FinishReason, outcome: pb.RequestOutcome.ValueType
    ) -> bytes:
        """End the stream before its time: as its dialect does, with what was really used.

        Args:
            tally: Has seen what went to the client.
            reason: What the client is told.
            outcome: What is recorded.
        """
        self._is_over = True
        await self._chunks.aclose()
        usage = await self._meter.count(self._written())
        self._meter.counted(outcome, usage)
        include_usage = self._meter.question.head.include_usage
        return tally.ending(reason, usage, include_usage=include_usage)


def new_tally(meter: Meter) -> OutputTally:
    """Begin to count the answer to a request."""
    question = meter.question
    return meter.dialect.tally(
        answer_id=f"chatcmpl-{question.arrival.request_id}",
        served_model=question.head.model,
        created=int(time.time()),
    )
