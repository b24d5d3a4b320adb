"""Spans that are recorded and exported. The only module that knows OpenTelemetry.

Whoever waits for a request never waits for the collector: spans go into a bounded queue, which a
thread of its own empties, and what finds no room there is dropped.
"""

import asyncio
import random
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from typing import ClassVar

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from meshgate.runtime.trace_context import TraceParent, is_unsampled
from meshgate.runtime.tracing import NO_SPAN, Attributes, Span, Tracer
from meshgate.runtime.tracing_settings import Sampling, TracingSettings

_EXPORT_SECONDS = 5.0


class RecordedSpan(Span):
    """A span that is recorded.

    Args:
        tracer: Makes its children.
        span: OpenTelemetry's own.
    """

    __slots__ = ("_children", "_span", "_tracer")

    is_recorded: ClassVar[bool] = True

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span
        self._children: list[RecordedSpan] = []

    @property
    def traceparent(self) -> str:
        own = self._span.get_span_context()
        return str(TraceParent(own.trace_id, own.span_id, is_sampled=True))

    def child(self, name: str) -> Span:
        context = trace.set_span_in_context(self._span)
        child = RecordedSpan(self._tracer, self._tracer.start_span(name, context))
        self._children.append(child)
        return child

    def note(self, attributes: Attributes) -> None:
        if self._span.is_recording():
            self._span.set_attributes(attributes)

    def fail(self, error_type: str, *, is_ours: bool = True) -> None:
        if not self._span.is_recording():
            return
        self._span.set_attribute("error.type", error_type)
        if is_ours:
            self._span.set_status(trace.StatusCode.ERROR)

    def end(self, at_nanos: int | None = None) -> None:
        if not self._span.is_recording():
            return
        for child in self._children:
            child.end(at_nanos)
        self._span.end(at_nanos)


class RecordingTracer(Tracer):
    """Records what is sampled.

    Args:
        provider: OpenTelemetry's own.
        sampling: Which requests are recorded.
        draw: The source of chance, from 0 up to 1.
        close_seconds: How long the end waits for the collector.
    """

    def __init__(
        self,
        provider: TracerProvider,
        sampling: Sampling,
        draw: Callable[[], float] = random.random,
        close_seconds: float = 3.0,
    ) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("meshgate", version("meshgate"))
        self._sampling = sampling
        self._draw = draw
        self._close_seconds = close_seconds

    def serve(self, name: str, traceparent: str) -> Span:
        if self._sampling.follows_parent and is_unsampled(traceparent):
            return NO_SPAN
        parent = TraceParent.parse(traceparent) if traceparent else None
        if not self._is_sampled(parent):
            return NO_SPAN
        return self._begin(name, parent, trace.SpanKind.SERVER)

    def call(self, name: str, traceparent: str) -> Span:
        if is_unsampled(traceparent):
            return NO_SPAN
        parent = TraceParent.parse(traceparent) if traceparent else None
        if parent is None or not parent.is_sampled:
            return NO_SPAN
        return self._begin(name, parent, trace.SpanKind.CLIENT)

    async def close(self) -> None:
        """Send what is left; give up on a collector that does not take it within a few seconds."""
        closed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def close() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # nobody waits any more, and the loop is closed
                loop.call_soon_threadsafe(closed.set)

        # A daemon: the end of the process waits for the threads of an executor.
        threading.Thread(target=close, name="close traces", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._close_seconds):
                await closed.wait()

    def _is_sampled(self, parent: TraceParent | None) -> bool:
        if parent is not None and self._sampling.follows_parent:
            return parent.is_sampled
        return self._draw() < self._sampling.ratio

    def _begin(self, name: str, parent: TraceParent | None, kind: trace.SpanKind) -> Span:
        context = None if parent is None else trace.set_span_in_context(_remote(parent))
        return RecordedSpan(self._tracer, self._tracer.start_span(name, context, kind))


def recording_tracer(settings: TracingSettings, service: str) -> RecordingTracer:
    """The tracer of a service, which exports to the collector that the settings name."""
    resource = Resource.create(
        {
            "service.name": f"{settings.name}-{service}",
            "service.version": version("meshgate"),
            "service.instance.id": str(uuid.uuid4()),
        }
    )
    provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(settings.endpoint, timeout=_EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return RecordingTracer(provider, settings.sampling)


def _remote(parent: TraceParent) -> trace.Span:
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if parent.is_sampled else 0)
    return trace.NonRecordingSpan(
        trace.SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
    )
