"""What the operators see of attempts: OpenTelemetry's GenAI metrics and spans, by its names.

Names of providers and models come from the configuration alone: what it does not know is `other`.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable

from msgspec.structs import replace

from meshgate.config.snapshot import Snapshot
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.operations import operation_in
from meshgate.provider.attempt import Answer, Attempt, StreamDone
from meshgate.provider.failures import Failure
from meshgate.runtime.durations import DurationHistogram, Durations
from meshgate.runtime.series import OTHER
from meshgate.runtime.tracing import NO_SPAN, NO_TRACER, Span, Tracer, Value, error_type

# The buckets are those that OpenTelemetry's semantic conventions advise.
TOKEN_BOUNDS = tuple(4**exponent for exponent in range(14))
DURATION_BOUNDS_SECONDS = tuple(0.01 * 2**exponent for exponent in range(14))
FIRST_TOKEN_BOUNDS_SECONDS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)

_LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_TOKENS = DurationHistogram(
    "gen_ai_client_token_usage",
    "Tokens that attempts used, as the upstream reported them.",
    (*_LABELS, "gen_ai_token_type"),
    bounds=TOKEN_BOUNDS,
)
_DURATIONS = DurationHistogram(
    "gen_ai_client_operation_duration_seconds",
    "How long attempts took.",
    (*_LABELS, "error_type"),
    bounds=DURATION_BOUNDS_SECONDS,
)
_FIRST_TOKENS = DurationHistogram(
    "gen_ai_server_time_to_first_token_seconds",
    "How long it took until streamed answers began.",
    _LABELS,
    bounds=FIRST_TOKEN_BOUNDS_SECONDS,
)

Address = Callable[[str], tuple[str, int] | None]
"""Where a provider is, by its name."""

_Kind = tuple[str, str, str]
"""Dialect, provider and model."""


class _Series:
    """Where attempts of one kind at one target are counted."""

    __slots__ = ("first_tokens", "input_tokens", "labels", "output_tokens", "successes")

    def __init__(self, labels: tuple[str, str, str]) -> None:
        self.labels = labels
        self.successes: Durations = _DURATIONS.of(*labels, "")
        self.first_tokens = _FIRST_TOKENS.of(*labels)
        self.input_tokens = _TOKENS.of(*labels, "input")
        self.output_tokens = _TOKENS.of(*labels, "output")

    def failed(self, error: str, seconds: float) -> None:
        _DURATIONS.of(*self.labels, error).observe(seconds)

    def used(self, usage: Usage) -> None:
        self.input_tokens.observe(usage.input_tokens)
        self.output_tokens.observe(usage.output_tokens)


class SeenAttempt:
    """One attempt, from its beginning to its end. Only the first end counts.

    Attributes:
        attempt: What the upstream is asked.
    """

    __slots__ = ("_is_over", "_series", "_span", "_started_at", "attempt")

    def __init__(self, attempt: Attempt, series: _Series, span: Span) -> None:
        self.attempt = attempt
        self._series = series
        self._span = span
        self._started_at = time.monotonic()
        self._is_over = False

    def answered(self, answer: Answer | StreamDone) -> None:
        """The answer is whole."""
        self._is_over = True
        self._series.successes.observe(answer.timings.total_seconds)
        if isinstance(answer, StreamDone):
            self._series.first_tokens.observe(answer.timings.first_byte_seconds)
        if answer.usage is not None:
            self._series.used(answer.usage)
        if self._span.is_recorded:
            self._span.note(_ending(answer))
            self._span.end()

    def failed(self, failure: Failure) -> Failure:
        """The upstream did something wrong; returns that with the time that it took."""
        kind = failure.kind.value
        seconds = self._ended(kind)
        if self._span.is_recorded:
            if failure.upstream_status:
                self._span.note({"http.response.status_code": failure.upstream_status})
            self._span.fail(kind)
            self._span.end()
        return dataclasses.replace(failure, seconds=seconds)

    def given_up(self, error: BaseException) -> None:
        """Nobody waits for it any more, or it was refused before it was sent."""
        if self._is_over:
            return
        is_cancelled = isinstance(error, asyncio.CancelledError | GeneratorExit)
        word = "cancelled" if is_cancelled else error_type(error)
        self._ended(word)
        self._span.fail(word, is_ours=not is_cancelled)
        self._span.end()

    def _ended(self, error: str) -> float:
        self._is_over = True
        seconds = time.monotonic() - self._started_at
        self._series.failed(error, seconds)
        return seconds


class Observer:
    """Sees attempts begin.

    Args:
        snapshot: The configuration, as it is now.
        address: Where a provider is.
        tracer: Records them.
    """

    def __init__(
        self, snapshot: Callable[[], Snapshot], address: Address, tracer: Tracer = NO_TRACER
    ) -> None:
        self._snapshot = snapshot
        self._address = address
        self._tracer = tracer
        self._series: dict[_Kind, _Series] = {}

    def begin(self, provider: str, attempt: Attempt) -> SeenAttempt:
        """An attempt begins."""
        series = self._series.get((attempt.dialect, provider, attempt.model))
        if series is None:
            series = self._new_series(provider, attempt)
        if not attempt.traceparent:
            return SeenAttempt(attempt, series, NO_SPAN)
        operation = series.labels[0]
        span = self._tracer.call(f"{operation} {attempt.model}", attempt.traceparent)
        if span.is_recorded:
            self._describe(span, operation, provider, attempt)
            attempt = replace(attempt, traceparent=span.traceparent)
        return SeenAttempt(attempt, series, span)

    def _new_series(self, provider: str, attempt: Attempt) -> _Series:
        operation = operation_in(attempt.dialect)
        if not self._is_configured(provider, attempt.model):
            return _Series((operation, OTHER, OTHER))
        series = _Series((operation, provider, attempt.model))
        self._series[(attempt.dialect, provider, attempt.model)] = series
        return series

    def _is_configured(self, provider: str, model: str) -> bool:
        return any(
            (target.provider, target.model) == (provider, model)
            for configured in self._snapshot().models.values()
            for target in configured.targets
        )

    def _describe(self, span: Span, operation: str, provider: str, attempt: Attempt) -> None:
        described: dict[str, Value] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": attempt.model,
        }
        if attempt.request_id:
            described["meshgate.request.id"] = attempt.request_id
        if (address := self._address(provider)) is not None:
            described["server.address"], described["server.port"] = address
        span.note(described)


def _ending(answer: Answer | StreamDone) -> dict[str, Value]:
    ending: dict[str, Value] = {"gen_ai.response.model": answer.served_model}
    if answer.finish_reason is not FinishReason.UNSPECIFIED:
        ending["gen_ai.response.finish_reasons"] = (answer.finish_reason.value,)
    usage = answer.usage
    if usage is not None:
        ending["gen_ai.usage.input_tokens"] = usage.input_tokens
        ending["gen_ai.usage.output_tokens"] = usage.output_tokens
        ending["gen_ai.usage.cache_read.input_tokens"] = usage.cached_input_tokens
    if isinstance(answer, StreamDone):
        ending["gen_ai.response.time_to_first_chunk"] = answer.timings.first_byte_seconds
    return ending
