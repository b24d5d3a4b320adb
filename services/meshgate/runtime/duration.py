"""Between seconds and protobuf's Duration, at little cost."""

from google.protobuf.duration_pb2 import Duration


def duration(seconds: float) -> Duration:
    """The Duration of so many seconds, not negative."""
    message = Duration()
    set_duration(message, seconds)
    return message


def set_duration(message: Duration, seconds: float) -> None:
    """Write so many seconds, not negative, into a Duration."""
    message.seconds = whole = int(seconds)
    message.nanos = int((seconds - whole) * 1e9)


def seconds_of(message: Duration) -> float:
    """The seconds of a Duration."""
    return message.seconds + message.nanos / 1e9
