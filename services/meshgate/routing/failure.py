"""What an upstream did wrong, and what the caller is told of it."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from meshgate.dialects.neutral import Usage
from meshgate.runtime.errors import (
    GatewayError,
    UpstreamFailedError,
    UpstreamRateLimitedError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
)

OF_THE_TARGET = frozenset({"authentication", "not_found", "unsupported"})
"""Asking the same target again cannot help; another one may well do."""

OF_THE_REQUEST = frozenset({"invalid_request", "content_policy", "cancelled"})
"""Asking anyone else would be no use, or no service to anyone."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt.

    Attributes:
        kind: A word of `FailureKind` in provider_service.proto, in lower case; or `unsupported`, where
            the target cannot express the request.
        provider: Whose attempt it was.
        upstream_status: The HTTP status, or 0.
        retry_after_seconds: When the upstream wants to be asked again, if it said so.
        message: Fit for the client.
        code: The upstream's own code, or nothing.
        field: The field that the upstream points at, or nothing.
        error: What is told instead, where it was the mesh that failed.
        usage: What was consumed all the same, if that is known.
        upstream_seconds: How long the upstream had it; 0 where it never did.
    """

    kind: str
    provider: str
    upstream_status: int = 0
    retry_after_seconds: float | None = None
    message: str = ""
    code: str = ""
    field: str = ""
    error: GatewayError | None = None
    usage: Usage | None = None
    upstream_seconds: float = 0.0

    def _client_status(self) -> int:
        """The upstream's status, where it is one that blames the client."""
        if HTTPStatus.BAD_REQUEST <= self.upstream_status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return self.upstream_status
        return HTTPStatus.BAD_REQUEST

    def as_error(self, model: str, attempts: int | None = None) -> GatewayError:
        """What the caller is told, after so many attempts where they were counted."""
        if self.error is not None:
            return self.error
        values: dict[str, Any] = {"model": model, "provider": self.provider, "kind": self.kind}
        if attempts is not None:
            values["attempts"] = str(attempts)
        match self.kind:
            case "invalid_request" | "content_policy" | "context_window":
                return UpstreamRefusedError(
                    self.message,
                    http_status=self._client_status(),
                    upstream_code=self.code or None,
                    field=self.field or None,
                    **values,
                )
            case "rate_limited":
                return UpstreamRateLimitedError(
                    self.message, retry_after_seconds=self.retry_after_seconds or 1, **values
                )
            case "timeout":
                return UpstreamTimeoutError(self.message, **values)
        error = UpstreamFailedError(
            self.message, retry_after_seconds=self.retry_after_seconds, **values
        )
        if self.kind == "overloaded":
            error.http_status = 503
            error.retry_after_seconds = self.retry_after_seconds or 1
        return error
