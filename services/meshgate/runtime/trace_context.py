"""The W3C trace context, as it travels in the header `traceparent`."""

import re

from msgspec import Struct

_FORM = re.compile(
    r"(?P<version>[0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?P<more>-.*)?"
)
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_SAMPLED = 1
_UNSAMPLED = "02468ace"
_LENGTH = 55


class TraceParent(Struct, frozen=True):
    """The span that something is done for.

    Attributes:
        trace_id: Of the whole trace, 128 bits.
        span_id: Of the span, 64 bits.
        is_sampled: Whether it is recorded.
    """

    trace_id: int
    span_id: int
    is_sampled: bool

    @classmethod
    def parse(cls, text: str) -> "TraceParent | None":
        """Read the header; None where it is none, or names no span."""
        match = _match(text)
        if match is None:
            return None
        _, trace_id, span_id, flags, _ = match.groups()
        return cls(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & _SAMPLED))

    def __str__(self) -> str:
        """As the header says it."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{int(self.is_sampled):02x}"


def is_trace_context(text: str) -> bool:
    """Whether a text may be sent as the header."""
    return _match(text) is not None


def is_unsampled(text: str) -> bool:
    """Whether a header says that nothing is recorded: a guess that costs next to nothing.

    It is right about each header that is well-formed and of today's version.
    """
    return len(text) == _LENGTH and text[-1] in _UNSAMPLED


def _match(text: str) -> re.Match[str] | None:
    match = _FORM.fullmatch(text)
    if match is None or match["version"] == "ff" or (match["version"] == "00" and match["more"]):
        return None
    return None if match[2] == _NO_TRACE or match[3] == _NO_SPAN else match
