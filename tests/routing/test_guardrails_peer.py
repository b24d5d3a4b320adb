"""The caller's side of GuardrailsService: batches, deadlines, and answers that make no sense."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from routing.fake_guardrails import FORBIDDEN, GUARDRAILS, MASK, SECRET, FakeGuardrails
from routing.fakes import channel_to, question, until

from meshgate.dialects.segments import Piece, Segment, SegmentKind
from meshgate.routing.peers.guardrails import AbsentGuardrails, Blocked, Guardrails
from meshgate.runtime.errors import (
    DeadlineExceededError,
    RevisionBehindError,
    ServiceUnavailableError,
)
from meshgate.runtime.service import Implementation
from meshgate.v1 import guardrails_service_pb2 as pb

INPUT = pb.CHECK_PHASE_INPUT


@pytest.fixture
def service() -> FakeGuardrails:
    return FakeGuardrails()


@pytest.fixture
async def guardrails(service: FakeGuardrails) -> AsyncIterator[Guardrails]:
    guardrails = Guardrails(service.channel())
    yield guardrails
    await guardrails.close()


def saying(text: str, locator: str = "a") -> list[Segment]:
    return [Segment(locator, SegmentKind.TEXT, text)]


def piece(text: str, *, is_last: bool = False) -> Piece:
    return Piece("c", SegmentKind.JSON, text, is_last)


class TestChecks:
    async def test_each_request_gets_its_own_verdict(self, guardrails: Guardrails) -> None:
        texts = ["fine", f"a {SECRET}", FORBIDDEN]

        verdicts = await asyncio.gather(
            *(guardrails.check(question(), ["p"], INPUT, saying(text)) for text in texts)
        )

        assert [verdict.masked for verdict in verdicts] == [{}, {"a": f"a {MASK}"}, {}]
        blocked = [verdict.blocked_by is not None for verdict in verdicts]
        assert blocked == [False, False, True]
        assert [len(verdict.findings) for verdict in verdicts] == [0, 1, 1]

    async def test_what_gathers_goes_together(self) -> None:
        sizes: list[int] = []

        class Counting(FakeGuardrails):
            async def BatchCheck(self, request: Any, context: Any) -> Any:
                sizes.append(len(request.items))
                return await super().BatchCheck(request, context)

        guardrails = Guardrails(Counting().channel())

        await asyncio.gather(
            *(guardrails.check(question(), ["p"], INPUT, saying("a")) for _ in range(300))
        )

        assert sizes == [256, 44]

    async def test_a_large_text_goes_alone(
        self, guardrails: Guardrails, service: FakeGuardrails
    ) -> None:
        service.hangs = True
        waiting = asyncio.create_task(guardrails.check(question(), ["p"], INPUT, saying("a")))
        await until(lambda: service.items)
        service.hangs = False

        verdict = await guardrails.check(question(), ["p"], INPUT, saying("b" * 300_000))

        assert not verdict.masked
        assert not waiting.done()
        waiting.cancel()

    async def test_a_refusal_of_one_is_an_error_of_that_one(
        self, guardrails: Guardrails, service: FakeGuardrails
    ) -> None:
        service.refusal = RevisionBehindError("old", service="guardrails")

        with pytest.raises(RevisionBehindError):
            await guardrails.check(question(), ["p"], INPUT, saying("a"))

    async def test_nobody_waits_longer_than_the_request_may_take(
        self, guardrails: Guardrails, service: FakeGuardrails
    ) -> None:
        service.hangs = True

        with pytest.raises(DeadlineExceededError):
            await guardrails.check(question(seconds=0.05), ["p"], INPUT, saying("a"))

    async def test_a_check_that_takes_too_long_is_not_tried_again(
        self, service: FakeGuardrails
    ) -> None:
        guardrails = Guardrails(service.channel(), check_seconds=0.01)
        service.hangs = True

        with pytest.raises(ServiceUnavailableError):
            await guardrails.check(question(), ["p"], INPUT, saying("a"))

        assert len(service.items) == 1

    @pytest.mark.parametrize(
        "results",
        [
            [],
            [pb.CheckResult()],
            [pb.CheckResult(masked=pb.CheckMasked(segments=[pb.Segment(locator="x")]))],
        ],
    )
    async def test_an_answer_that_makes_no_sense_is_as_good_as_none(self, results: Any) -> None:
        class Odd(FakeGuardrails):
            async def BatchCheck(self, request: Any, context: Any) -> Any:
                return pb.BatchCheckResponse(results=results)

        with pytest.raises(ServiceUnavailableError):
            await Guardrails(Odd().channel()).check(question(), ["p"], INPUT, saying("a"))


class TestReleases:
    async def test_the_call_begins_with_the_first_text_and_ends_with_the_findings(
        self, guardrails: Guardrails, service: FakeGuardrails
    ) -> None:
        release = guardrails.release(question(), ["p", "q"])

        shown = await release.released(piece(f'"{SECRET}'))
        shown += await release.released(piece('"', is_last=True))
        findings = await release.ended()

        assert shown == f'"{MASK}"'
        assert [finding.locator for finding in findings] == ["c"]
        (start,) = service.starts
        assert list(start.policies) == ["p", "q"]
        assert start.context.config_revision == "r1"
        assert {text.kind for text in service.texts} == {pb.SEGMENT_KIND_JSON}

    async def test_an_answer_without_text_makes_no_call(
        self, guardrails: Guardrails, service: FakeGuardrails
    ) -> None:
        release = guardrails.release(question(), ["p"])

        assert await release.ended() == ()
        release.close()
        assert not service.starts

    async def test_what_blocks_is_told(self, guardrails: Guardrails) -> None:
        release = guardrails.release(question(), ["p"])

        with pytest.raises(Blocked) as raised:
            await release.released(piece(FORBIDDEN))

        assert raised.value.finding.rule == "phrases/1"
        assert FORBIDDEN not in str(raised.value)

    @pytest.mark.parametrize(
        "step",
        [
            None,
            pb.CheckStreamResponse(),
            pb.CheckStreamResponse(ended=pb.CheckStreamEnded()),
            pb.CheckStreamResponse(released=pb.CheckStreamReleased(channel="other", text="a")),
        ],
    )
    async def test_a_step_that_makes_no_sense_is_as_good_as_none(self, step: Any) -> None:
        class Odd(FakeGuardrails):
            async def CheckStream(self, requests: Any, context: Any) -> AsyncIterator[Any]:
                async for _ in requests:
                    if step is None:
                        return
                    yield step

        channel = channel_to(Implementation(GUARDRAILS, Odd(), internal=True))
        release = Guardrails(channel).release(question(), ["p"])

        with pytest.raises(ServiceUnavailableError):
            await release.released(piece("a"))
        release.close()

    async def test_where_there_is_no_service_nothing_can_be_looked_at(self) -> None:
        absent = AbsentGuardrails()

        with pytest.raises(ServiceUnavailableError):
            await absent.check(question(), ["p"], INPUT, saying("a"))
        with pytest.raises(ServiceUnavailableError):
            await absent.release(question(), ["p"]).released(piece("a"))
