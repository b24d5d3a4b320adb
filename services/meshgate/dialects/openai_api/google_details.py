"""What stands in the `details` of Google's errors: google.rpc's ErrorInfo, RetryInfo, BadRequest.

https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto, in JSON.
"""

import re

from msgspec import Struct

_DURATION = re.compile(r"(?P<seconds>[0-9]{1,6}(?:\.[0-9]{1,9})?)s")
_MOST_DETAILS = 16


class GoogleDetails(Struct, frozen=True):
    """What was found; empty where there is nothing of the kind."""

    reason: str = ""
    field: str = ""
    retry_after_seconds: float | None = None


def read(details: object) -> GoogleDetails:
    """Read the details of an error. Never raises."""
    found = GoogleDetails()
    if not isinstance(details, list):
        return found
    for detail in details[:_MOST_DETAILS]:
        if isinstance(detail, dict):
            found = _with(found, detail)
    return found


def _with(found: GoogleDetails, detail: dict[object, object]) -> GoogleDetails:
    kind = str(detail.get("@type")).rpartition(".")[2]
    if kind == "ErrorInfo":
        return GoogleDetails(_text(detail.get("reason")), found.field, found.retry_after_seconds)
    if kind == "RetryInfo":
        match = _DURATION.fullmatch(_text(detail.get("retryDelay")))
        seconds = float(match["seconds"]) if match else None
        return GoogleDetails(found.reason, found.field, seconds)
    violations = detail.get("fieldViolations")
    if kind == "BadRequest" and isinstance(violations, list) and violations:
        first = violations[0]
        field = _text(first.get("field")) if isinstance(first, dict) else ""
        return GoogleDetails(found.reason, field, found.retry_after_seconds)
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
