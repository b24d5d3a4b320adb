"""The errors of the gateway, free of gRPC and HTTP.

GatewayError
├── InvalidRequestError             the request cannot be read or breaks a rule of its API
│   ├── RequestTooLargeError        ... is larger than the gateway takes
│   └── UnsupportedError            ... asks for what no target of the model can express
├── CredentialError
│   ├── CredentialMissingError      no credential was sent
│   └── CredentialInvalidError      the credential is not known, or no longer
├── PermissionDeniedError           the principal may not do this
│   └── ModelNotAllowedError        ... may not use this model
├── NotFoundError                   no such path, method or record
│   ├── ModelNotFoundError          no such model
│   └── HoldUnknownError            no such grant, or no longer
├── LimitExceededError              a limit is reached
├── HoldReleasedError               what was asked for had been given back already
├── ModelUnpricedError              a limit in money, and a model without a price
├── AlreadyExistsError              something of this name is there already
├── EtagMismatchError               somebody else changed it meanwhile
├── FailedPreconditionError         it cannot be changed as things stand
├── ContentBlockedError             a guardrail does not let it pass
├── UpstreamError                   what upstreams did wrong
│   ├── UpstreamRefusedError        the request as it stands was refused
│   ├── UpstreamRateLimitedError    every target that was tried is out of capacity
│   ├── UpstreamFailedError         no target could answer
│   └── UpstreamTimeoutError        no target answered in time
├── DeadlineExceededError           the caller's own deadline has passed
├── ServiceUnavailableError         a service of the mesh does not answer
├── RevisionBehindError             a service of the mesh has an older configuration
└── MeshIdentityError               the caller does not belong to this mesh

`code` is the name of a gRPC status code, `reason` the name of a value of `ErrorReason`,
`http_status` what a REST client gets. One interceptor turns them into statuses.
"""

from typing import ClassVar


class GatewayError(Exception):
    """An error that callers may see.

    Every value that stands in `message` is also given as a keyword; they become the metadata of
    the ErrorInfo.

    Args:
        message: One sentence for the caller. No secret, no prompt text.
        field: The path of the request's field that is at fault.
        retry_after_seconds: When it is worth coming back.
        values: What stands in the message, by name.

    Attributes:
        headers: What REST clients are told beside it, names in lower case.
    """

    code: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = "ERROR_REASON_INTERNAL"
    http_status: int = 500
    headers: tuple[tuple[str, str], ...] = ()

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        retry_after_seconds: float | None = None,
        **values: str,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_seconds = retry_after_seconds
        self.values = values


class InvalidRequestError(GatewayError):
    """The request cannot be read or breaks a rule of its API."""

    code = "INVALID_ARGUMENT"
    reason = "ERROR_REASON_INVALID_REQUEST"
    http_status = 400


class RequestTooLargeError(InvalidRequestError):
    """The request is larger than the gateway takes."""

    code = "OUT_OF_RANGE"
    reason = "ERROR_REASON_REQUEST_TOO_LARGE"
    http_status = 413


class UnsupportedError(InvalidRequestError):
    """The request asks for what no target of the model can express."""

    reason = "ERROR_REASON_UNSUPPORTED"


class CredentialError(GatewayError):
    """Nobody is known by what was sent."""

    code = "UNAUTHENTICATED"
    reason = "ERROR_REASON_CREDENTIAL_INVALID"
    http_status = 401


class CredentialMissingError(CredentialError):
    """No credential was sent."""

    reason = "ERROR_REASON_CREDENTIAL_MISSING"


class CredentialInvalidError(CredentialError):
    """The credential is not known, or no longer."""


class PermissionDeniedError(GatewayError):
    """The principal may not do this."""

    code = "PERMISSION_DENIED"
    reason = "ERROR_REASON_PERMISSION_DENIED"
    http_status = 403


class ModelNotAllowedError(PermissionDeniedError):
    """The principal may not use this model."""

    reason = "ERROR_REASON_MODEL_NOT_ALLOWED"


class NotFoundError(GatewayError):
    """No such path, method or record."""

    code = "NOT_FOUND"
    reason = "ERROR_REASON_NOT_FOUND"
    http_status = 404


class ModelNotFoundError(NotFoundError):
    """No such model."""

    reason = "ERROR_REASON_MODEL_NOT_FOUND"


class HoldUnknownError(NotFoundError):
    """No such grant, or no longer."""

    reason = "ERROR_REASON_HOLD_UNKNOWN"


class LimitExceededError(GatewayError):
    """A limit is reached.

    Its values say which: `limit`, `subject`, `amount`, `remaining` and `requested`.
    """

    code = "RESOURCE_EXHAUSTED"
    reason = "ERROR_REASON_LIMIT_EXCEEDED"
    http_status = 429


class HoldReleasedError(GatewayError):
    """What was asked for had been given back before it was granted."""

    code = "ABORTED"
    reason = "ERROR_REASON_HOLD_RELEASED"
    http_status = 409


class ModelUnpricedError(GatewayError):
    """The caller has a limit in money, and the model has no price."""

    code = "FAILED_PRECONDITION"
    reason = "ERROR_REASON_MODEL_UNPRICED"
    http_status = 403


class AlreadyExistsError(GatewayError):
    """Something of this name is there already."""

    code = "ALREADY_EXISTS"
    reason = "ERROR_REASON_ALREADY_EXISTS"
    http_status = 409


class EtagMismatchError(GatewayError):
    """Somebody else changed it meanwhile: read it again."""

    code = "ABORTED"
    reason = "ERROR_REASON_ETAG_MISMATCH"
    http_status = 409


class FailedPreconditionError(GatewayError):
    """It cannot be changed as things stand."""

    code = "FAILED_PRECONDITION"
    reason = "ERROR_REASON_FAILED_PRECONDITION"
    http_status = 400


class ContentBlockedError(GatewayError):
    """A guardrail does not let the request pass. Says which policy and rule, never the text."""

    code = "INVALID_ARGUMENT"
    reason = "ERROR_REASON_CONTENT_BLOCKED"
    http_status = 400


class UpstreamError(GatewayError):
    """What upstreams did wrong."""

    code = "UNAVAILABLE"
    reason = "ERROR_REASON_UPSTREAM_FAILED"
    http_status = 502


class UpstreamRefusedError(UpstreamError):
    """An upstream refused the request as it stands; its own words are passed on.

    Args:
        message: What the upstream said.
        http_status: The upstream's status, 4xx.
        upstream_code: The upstream's own code, if any.
        field: The field that the upstream points at, if any.
        values: What else is known, by name.
    """

    code = "INVALID_ARGUMENT"
    reason = "ERROR_REASON_UPSTREAM_REFUSED"

    def __init__(
        self,
        message: str,
        *,
        http_status: int = 400,
        upstream_code: str | None = None,
        field: str | None = None,
        **values: str,
    ) -> None:
        super().__init__(message, field=field)
        self.values = values
        self.http_status = http_status
        self.upstream_code = upstream_code


class UpstreamRateLimitedError(UpstreamError):
    """Every target that was tried is out of capacity."""

    code = "RESOURCE_EXHAUSTED"
    reason = "ERROR_REASON_UPSTREAM_RATE_LIMITED"
    http_status = 429


class UpstreamFailedError(UpstreamError):
    """No target could answer."""


class UpstreamTimeoutError(UpstreamError):
    """No target answered in time."""

    code = "DEADLINE_EXCEEDED"
    reason = "ERROR_REASON_UPSTREAM_TIMEOUT"
    http_status = 504


class DeadlineExceededError(GatewayError):
    """The caller's own deadline has passed."""

    code = "DEADLINE_EXCEEDED"
    reason = "ERROR_REASON_DEADLINE_EXCEEDED"
    http_status = 504


class ServiceUnavailableError(GatewayError):
    """A service of the mesh does not answer."""

    code = "UNAVAILABLE"
    reason = "ERROR_REASON_SERVICE_UNAVAILABLE"
    http_status = 503


class RevisionBehindError(GatewayError):
    """A service of the mesh has an older configuration than the caller."""

    code = "FAILED_PRECONDITION"
    reason = "ERROR_REASON_REVISION_BEHIND"
    http_status = 503


class MeshIdentityError(GatewayError):
    """The caller does not belong to this mesh."""

    code = "UNAUTHENTICATED"
    reason = "ERROR_REASON_MESH_IDENTITY_INVALID"
    http_status = 500
