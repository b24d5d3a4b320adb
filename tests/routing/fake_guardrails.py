"""Guardrails that mask one word and block another, with scriptable faults."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from routing.fakes import channel_to

from meshgate.config.snapshot import GuardrailPolicy
from meshgate.runtime.errors import GatewayError
from meshgate.runtime.in_process import InProcessChannel
from meshgate.runtime.service import Implementation
from meshgate.runtime.status import status_of
from meshgate.v1 import guardrails_service_pb2 as pb
from meshgate.v1.guardrails_service_pb2_grpc import GuardrailsServiceServicer

GUARDRAILS = pb.DESCRIPTOR.services_by_name["GuardrailsService"]

SECRET, MASK = "hunter2", "[SECRET]"
FORBIDDEN = "plutonium"
HOLD_BACK = max(len(SECRET), len(FORBIDDEN)) - 1


def policy(name: str = "p", phases: str = "input output", on_error: Any = "closed") -> Any:
    """A policy with one rule in each of the phases."""
    rules = dict.fromkeys(phases.split(), ("rule",))
    return GuardrailPolicy(name, **rules, on_error=on_error)


class FakeGuardrails(GuardrailsServiceServicer):
    """Looks at everything in the same way, whatever the policies; keeps what it was asked."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.starts: list[Any] = []
        self.texts: list[Any] = []
        self.failure: GatewayError | None = None
        self.refusal: GatewayError | None = None
        self.fails_after: int | None = None
        self.hangs = False
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.streams_ended = 0

    def channel(self) -> InProcessChannel:
        return channel_to(Implementation(GUARDRAILS, self, internal=True))

    async def BatchCheck(self, request: Any, context: Any) -> Any:
        self.items += request.items
        self.entered.set()
        if self.failure is not None:
            raise self.failure
        if self.hangs:
            await self._hang()
        return pb.BatchCheckResponse(results=[self._result(item) for item in request.items])

    async def CheckStream(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        stream = _Stream()
        try:
            async for request in requests:
                self.entered.set()
                answer = await self._step(stream, request)
                if answer is not None:
                    yield answer
                    if answer.HasField("blocked"):
                        return
        finally:
            self.streams_ended += 1

    async def _step(self, stream: "_Stream", request: Any) -> Any:
        match request.WhichOneof("step"):
            case "start":
                self.starts.append(request.start)
                return None
            case "text":
                self.texts.append(request.text)
                await self._meet_fault()
                return stream.take(request.text)
        return pb.CheckStreamResponse(ended=pb.CheckStreamEnded(findings=stream.found))

    async def _meet_fault(self) -> None:
        if self.fails_after is not None and len(self.texts) > self.fails_after:
            if self.failure is None:
                raise RuntimeError("broken")
            raise self.failure
        if self.hangs:
            await self._hang()

    async def _hang(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def _result(self, item: Any) -> Any:
        if self.refusal is not None:
            return pb.CheckResult(refusal=status_of(self.refusal))
        masked = [
            pb.Segment(
                locator=segment.locator,
                kind=segment.kind,
                text=segment.text.replace(SECRET, MASK),
            )
            for segment in item.segments
            if SECRET in segment.text
        ]
        findings = [_finding("secrets/0", "MASK", segment.locator) for segment in masked]
        for segment in item.segments:
            if FORBIDDEN in segment.text:
                finding = _finding("phrases/1", "BLOCK", segment.locator)
                blocked = pb.CheckBlocked(finding=finding)
                return pb.CheckResult(blocked=blocked, findings=[*findings, finding])
        if masked:
            return pb.CheckResult(masked=pb.CheckMasked(segments=masked), findings=findings)
        return pb.CheckResult(passed=pb.CheckPassed(), findings=findings)


class _Stream:
    """What is held back of each channel."""

    def __init__(self) -> None:
        self._held: dict[str, str] = defaultdict(str)
        self.found: list[Any] = []

    def take(self, piece: Any) -> Any:
        text = self._held[piece.channel] + piece.text
        if FORBIDDEN in text:
            finding = _finding("phrases/1", "BLOCK", piece.channel)
            return pb.CheckStreamResponse(blocked=pb.CheckBlocked(finding=finding))
        end = len(text) if piece.last else max(0, len(text) - HOLD_BACK)
        at = text.find(SECRET)
        while at >= 0:
            if at < end < at + len(SECRET):
                end = at
            at = text.find(SECRET, at + 1)
        self._held[piece.channel] = text[end:]
        self.found += [_finding("secrets/0", "MASK", piece.channel)] * text[:end].count(SECRET)
        released = text[:end].replace(SECRET, MASK)
        return pb.CheckStreamResponse(
            released=pb.CheckStreamReleased(channel=piece.channel, text=released)
        )


def _finding(rule: str, action: str, locator: str) -> Any:
    return pb.Finding(
        policy="p",
        rule=rule,
        detector=rule.partition("/")[0],
        action=f"FINDING_ACTION_{action}",  # type: ignore[arg-type]
        locator=locator,
        count=1,
    )
