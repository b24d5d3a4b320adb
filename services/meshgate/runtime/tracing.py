"""Spans, where traces are exported; where they are not, or a request is not sampled, next to nothing.

Spans are made by hand at the places that matter, by way of `arrival.span` in routing. What is not
recorded is NO_SPAN, of which there is only one, so that requests make no objects for it. Only
`runtime.recording` knows OpenTelemetry, and is loaded only where there is somebody to export to.
"""

from collections.abc import Awaitable, Mapping
from typing import ClassVar, TypeAlias, TypeVar

from meshgate.runtime.environment import Environment
from meshgate.runtime.tracing_settings import TracingSettings

Value: TypeAlias = str | int | float | tuple[str, ...]
Attributes: TypeAlias = Mapping[str, Value]

_Result = TypeVar("_Result")


class Span:
    """A span that nobody records; what it does is all that callers may do with one.

    Attributes:
        is_recorded: Whether it is worth making attributes for it.
        traceparent: What is sent along with what is done for it, as the W3C has it.
    """

    __slots__ = ()

    is_recorded: ClassVar[bool] = False

    @property
    def traceparent(self) -> str:
        return ""

    def child(self, name: str) -> "Span":
        """A span within this one. It ends with it at the latest."""
        return self

    def note(self, attributes: Attributes) -> None:
        """Add attributes. No secret, no prompt text."""

    def fail(self, error_type: str, *, is_ours: bool = True) -> None:
        """Say what went wrong, by a stable word; `is_ours` unless the caller is to blame."""

    def end(self, at_nanos: int | None = None) -> None:
        """It is over, now or since so many nanoseconds after 1970. Only the first end counts."""


class Tracer:
    """Begins spans. This one records nothing."""

    def serve(self, name: str, traceparent: str) -> Span:
        """A span for a request that comes in; here it is decided whether it is recorded."""
        return NO_SPAN

    def call(self, name: str, traceparent: str) -> Span:
        """A span for a call that goes out, recorded if what it is done for is."""
        return NO_SPAN

    async def close(self) -> None:
        """Send what is left, within bounds."""


NO_SPAN = Span()
NO_TRACER = Tracer()


def tracer_of(env: Environment, service: str) -> Tracer:
    """The tracer of a service; to be closed.

    Raises:
        SettingError: A variable says what cannot be understood.
    """
    settings = TracingSettings.read(env)
    if settings is None:
        return NO_TRACER
    from meshgate.runtime.recording import recording_tracer  # noqa: PLC0415 - costs 30 MB

    return recording_tracer(settings, service)


async def spanned(span: Span, name: str, work: Awaitable[_Result]) -> _Result:
    """Do something within a span of its own."""
    if not span.is_recorded:
        return await work
    child = span.child(name)
    try:
        return await work
    except BaseException as error:
        child.fail(error_type(error))
        raise
    finally:
        child.end()


def error_type(error: BaseException) -> str:
    """A stable word for an error, for the attribute `error.type`."""
    reason: str | None = getattr(error, "reason", None)
    return reason.removeprefix("ERROR_REASON_").lower() if reason else type(error).__qualname__
