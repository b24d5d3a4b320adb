"""Streamed answers that tell at their end what they have cost."""

from collections.abc import AsyncGenerator

from meshgate.dialects.costing import CostedStream
from meshgate.pricing.money import usd_of_nanos
from meshgate.routing.bill import Bill
from meshgate.routing.reply import AnswerChunks, Reply
from meshgate.runtime.errors import GatewayError
from meshgate.v1 import chat_pb2


async def events_of(reply: Reply) -> AsyncGenerator[chat_pb2.ChatEvent, None]:
    """The events of a typed answer; the last one waits until all is settled, and tells the cost.

    Whoever reads them closes the chunks too: a generator that was never begun closes nothing.

    Raises:
        GatewayError: The answer breaks off.
    """
    finished: chat_pb2.ChatEvent | None = None
    async for chunk in chunks_of(reply):
        for event in chat_pb2.ChatEvents.FromString(chunk).events:
            if event.HasField("finished"):
                finished = event
            else:
                yield event
    if finished is not None:
        cost_nanos = await reply.bill.cost_nanos()
        if cost_nanos is not None:
            finished.finished.cost_nanos = cost_nanos
        yield finished


def chunks_of(reply: Reply) -> AnswerChunks:
    """The chunks of a reply to a streamed question."""
    if reply.chunks is None:
        raise TypeError("a streamed question has a streamed answer")
    return reply.chunks


class CostedChunks:
    """A streamed answer that tells its cost beside its usage.

    Args:
        chunks: The answer.
        bill: Of it.
        stream: Knows its dialect.
    """

    def __init__(self, chunks: AnswerChunks, bill: Bill, stream: CostedStream) -> None:
        self._chunks = chunks
        self._bill = bill
        self._stream = stream
        self._error: GatewayError | None = None
        self._is_over = False

    def __aiter__(self) -> "CostedChunks":
        return self

    async def __anext__(self) -> bytes:
        while not self._is_over:
            try:
                passed = self._stream.take(await anext(self._chunks))
            except StopAsyncIteration:
                passed = await self._ending()
            except GatewayError as error:
                self._is_over, self._error = True, error
                passed = self._stream.rest()
            if passed:
                return passed
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give up what is still to come."""
        await self._chunks.aclose()

    async def _ending(self) -> bytes:
        self._is_over = True
        cost_nanos = await self._bill.cost_nanos()
        cost_usd = None if cost_nanos is None else usd_of_nanos(cost_nanos)
        return self._stream.ending(await self._bill.usage(), cost_usd)
