"""An upstream inside the gateway: offline, deterministic, in every dialect.

It can be told to be slow or to fail.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager

from meshgate.config.snapshot import DemoFault, DemoProvider
from meshgate.dialects.chat_dialect import CallerDialect
from meshgate.dialects.embeddings_translation import CALLERS as EMBEDDINGS_CALLERS
from meshgate.dialects.embeddings_translation import EmbeddingsCaller
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.output_cap import capped
from meshgate.dialects.translation import CALLER_DIALECTS
from meshgate.provider import failures
from meshgate.provider.attempt import Answer, Attempt, Step, StreamDone, StreamHead, Timings
from meshgate.provider.demo_chat import DemoChat
from meshgate.provider.demo_embeddings import embed
from meshgate.provider.failures import AttemptFailedError, Failure, FailureKind
from meshgate.provider.phases import PhaseClock, PhaseTimeoutError, PhaseTimeouts
from meshgate.runtime.errors import UnsupportedError

_STATUS_OF_KIND = {
    FailureKind.RATE_LIMITED: 429,
    FailureKind.OVERLOADED: 503,
    FailureKind.SERVER_ERROR: 500,
    FailureKind.CONTEXT_WINDOW: 400,
    FailureKind.CONTENT_POLICY: 400,
    FailureKind.INVALID_REQUEST: 400,
    FailureKind.AUTHENTICATION: 401,
    FailureKind.NOT_FOUND: 404,
}

Sleep = Callable[[float], Awaitable[None]]


class DemoUpstream:
    """Answers what it was asked, a word at a time.

    Args:
        provider: How slow it is, and what it pretends to suffer from.
        sleep: Waits for so many seconds.
    """

    def __init__(self, provider: DemoProvider, sleep: Sleep = asyncio.sleep) -> None:
        self._provider = provider
        self._sleep = sleep
        self._attempts = 0

    async def answer(self, attempt: Attempt) -> Answer:
        with _clock(attempt.timeouts) as clock:
            fault = await self._begin(clock)
            if fault == "cut":
                raise _pretended(FailureKind.CONNECTION)
            if (embeddings := EMBEDDINGS_CALLERS.get(attempt.dialect)) is not None:
                return _embeddings(embeddings, attempt, clock)
            dialect = _chat_dialect(attempt)
            chat = _chat(dialect, attempt)
            await self._wait(self._provider.word_delay_seconds * len(chat.words), clock)
            return Answer(
                body=dialect.write_response(chat.response(), created=int(time.time())),
                served_model=attempt.model,
                usage=chat.usage,
                finish_reason=chat.finish_reason,
                timings=_timings(clock),
            )

    async def stream(self, attempt: Attempt) -> AsyncGenerator[Step, None]:
        dialect = _chat_dialect(attempt)
        head = dialect.read_head(attempt.body)
        chat = _chat(dialect, attempt)
        writer = dialect.stream_writer(created=int(time.time()), include_usage=head.include_usage)
        with _clock(attempt.timeouts) as clock:
            fault = await self._begin(clock)
            yield StreamHead()
            for number, event in enumerate(chat.events()):
                if fault == "cut" and number > len(chat.words) // 2:
                    raise _pretended(FailureKind.CONNECTION)
                if number > 1:
                    await self._wait(self._provider.word_delay_seconds, clock)
                if written := writer.write([event]):
                    yield written
            yield StreamDone(
                served_model=attempt.model,
                usage=chat.usage,
                finish_reason=chat.finish_reason,
                timings=_timings(clock),
            )

    async def close(self) -> None:
        """Nothing is held."""

    async def _begin(self, clock: PhaseClock) -> DemoFault | None:
        """Wait as configured, and return what goes wrong later on.

        Raises:
            AttemptFailedError: Something goes wrong at once.
        """
        fault = self._next_fault()
        await self._wait(self._provider.delay_seconds, clock)
        if fault is not None and fault != "cut":
            raise _pretended(FailureKind(fault))
        clock.first_byte()
        return fault

    def _next_fault(self) -> DemoFault | None:
        self._attempts += 1
        first = self._provider.fail_first
        return self._provider.fail if first is None or self._attempts <= first else None

    async def _wait(self, seconds: float, clock: PhaseClock) -> None:
        if seconds > 0:
            with clock:
                await self._sleep(seconds)


@contextmanager
def _clock(timeouts: PhaseTimeouts) -> Iterator[PhaseClock]:
    clock = PhaseClock(timeouts)
    try:
        yield clock
    except PhaseTimeoutError as error:
        raise AttemptFailedError(failures.of_error(error)) from None
    finally:
        clock.close()


def _chat_dialect(attempt: Attempt) -> CallerDialect:
    dialect = CALLER_DIALECTS.get(attempt.dialect)
    if dialect is None:
        raise UnsupportedError(
            f"the demo provider does not answer {attempt.dialect}", dialect=attempt.dialect
        )
    return dialect


def _chat(dialect: CallerDialect, attempt: Attempt) -> DemoChat:
    request = capped(dialect.read_request(attempt.body), attempt.output_cap)
    return DemoChat(request, attempt.model)


def _embeddings(dialect: EmbeddingsCaller, attempt: Attempt, clock: PhaseClock) -> Answer:
    request = dialect.read_request(attempt.body)
    response = embed(request, attempt.model)
    return Answer(
        body=dialect.write_response(response, encoding_format=request.encoding_format),
        served_model=attempt.model,
        usage=response.usage,
        finish_reason=FinishReason.UNSPECIFIED,
        timings=_timings(clock),
    )


def _pretended(kind: FailureKind) -> AttemptFailedError:
    words = kind.value.replace("_", " ")
    return AttemptFailedError(
        Failure(
            kind,
            f"the demo provider was told to fail: {words}",
            upstream_status=_STATUS_OF_KIND.get(kind, 0),
            retry_after_seconds=0.0 if kind is FailureKind.RATE_LIMITED else None,
        )
    )


def _timings(clock: PhaseClock) -> Timings:
    total_seconds = time.monotonic() - clock.started_at
    first_byte_at = clock.first_byte_at or clock.started_at
    return Timings(first_byte_at - clock.started_at, total_seconds)
