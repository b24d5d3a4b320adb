"""GuardrailsService: proto to verdicts and back."""

from collections.abc import AsyncIterator
from typing import Any

from meshgate.guardrails import observation
from meshgate.guardrails.answering import Answering, Looking
from meshgate.guardrails.messages import phase_of, result_of, segments_of
from meshgate.guardrails.revisions import Revisions
from meshgate.runtime.errors import GatewayError, InvalidRequestError, RequestTooLargeError
from meshgate.runtime.status import status_of
from meshgate.v1 import guardrails_service_pb2 as pb
from meshgate.v1.guardrails_service_pb2_grpc import GuardrailsServiceServicer

MAXIMUM_ITEMS = 256
MAXIMUM_CHARACTERS = 64 << 20


class GuardrailsServicer(GuardrailsServiceServicer):
    """Looks through texts.

    Args:
        revisions: What is looked for.
    """

    def __init__(self, revisions: Revisions) -> None:
        self._revisions = revisions
        self._looking = Looking()

    async def BatchCheck(
        self, request: pb.BatchCheckRequest, context: Any
    ) -> pb.BatchCheckResponse:
        size = _checked_size(request)
        return pb.BatchCheckResponse(
            results=[await self._result(item, size) for item in request.items]
        )

    async def CheckStream(
        self, request_iterator: AsyncIterator[pb.CheckStreamRequest], context: Any
    ) -> AsyncIterator[pb.CheckStreamResponse]:
        answering = Answering(self._revisions, self._looking)
        try:
            async for request in request_iterator:
                for response in await answering.take(request):
                    yield response
                if answering.is_over:
                    return
        finally:
            answering.close()
        raise InvalidRequestError("the stream ends without `end`", field="step")

    async def _result(self, item: pb.CheckItem, size: int) -> pb.CheckResult:
        try:
            phase = phase_of(item.phase)
            revision = item.context.config_revision
            rules = await self._revisions.ruleset(revision, item.policies, phase)
            verdict = await self._looking.through(size, phase, rules, segments_of(item))
        except GatewayError as error:
            return pb.CheckResult(refusal=status_of(error))
        observation.found(verdict.findings, phase)
        return result_of(verdict)


def _checked_size(request: pb.BatchCheckRequest) -> int:
    """How many characters there are to look at."""
    if len(request.items) > MAXIMUM_ITEMS:
        raise InvalidRequestError(
            f"{len(request.items)} items are too many: {MAXIMUM_ITEMS} are the most",
            field="items",
        )
    size = sum(len(segment.text) for item in request.items for segment in item.segments)
    if size > MAXIMUM_CHARACTERS:
        raise RequestTooLargeError(
            f"the texts are too long: {MAXIMUM_CHARACTERS} characters are the most", field="items"
        )
    return size
