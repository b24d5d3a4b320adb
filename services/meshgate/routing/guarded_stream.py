"""A streamed answer on its way to the client, metered and guarded."""

from meshgate.dialects.neutral import FinishReason
from meshgate.routing.guarding import Shown, StreamGuard
from meshgate.routing.meter import Meter
from meshgate.routing.metered_stream import MeteredStream, new_tally
from meshgate.routing.peers.provider import Chunks
from meshgate.runtime.errors import GatewayError
from meshgate.v1 import usage_record_pb2 as pb


class GuardedStream(MeteredStream):
    """Passes on what the guard lets pass; counts what the upstream wrote.

    Where the guard blocks, the stream ends as its dialect ends one that was filtered.

    Args:
        chunks: The answer, as it comes.
        meter: Of the request.
        guard: Of the answer.
    """

    def __init__(self, chunks: Chunks, meter: Meter, guard: StreamGuard) -> None:
        super().__init__(chunks, meter)
        self._guard = guard
        self._shown = new_tally(meter)
        self._is_cut = False

    async def __anext__(self) -> bytes:
        while True:
            chunk = await super().__anext__()
            data = await self._passed(chunk)
            if self._shown.ended and not self._is_over:
                data += await self._rest()
            if data:
                return data

    async def aclose(self) -> None:
        """Give up what is still to come. What came until now is settled."""
        self._guard.close()
        await super().aclose()

    async def _last(self, chunk: bytes) -> bytes:
        """Leave the rest until the guard has seen this."""
        return chunk

    async def _end(self) -> bytes:
        """Leave the end of a stream that has become too long until its last chunk has passed."""
        self._is_cut = True
        return b""

    async def _passed(self, chunk: bytes) -> bytes:
        """What the client sees of a chunk, and of the end, if this is it.

        Raises:
            GatewayError: It may see nothing more, for nobody can look at it.
        """
        try:
            shown = await self._guard.shown(chunk)
            data = self._seen(shown)
            if self._is_cut and not shown.is_blocked:
                shown = await self._guard.closed()
                data += self._seen(shown)
        except GatewayError:
            self._ended(pb.REQUEST_OUTCOME_FAILED)
            raise
        if shown.is_blocked:
            return data + await self._ending(
                FinishReason.CONTENT_FILTER, pb.REQUEST_OUTCOME_BLOCKED
            )
        if self._is_cut:
            return data + await self._ending(FinishReason.LENGTH, pb.REQUEST_OUTCOME_LIMITED)
        return data

    async def _ending(self, reason: FinishReason, outcome: pb.RequestOutcome.ValueType) -> bytes:
        self._guard.close()
        return await self._end_early(self._shown, reason, outcome)

    def _seen(self, shown: Shown) -> bytes:
        """Take note of what goes to the client: an end follows from that."""
        if shown.data:
            self._shown.take(shown.data)
        return shown.data
