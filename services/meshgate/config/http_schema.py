"""What every kind of provider has that is reached over HTTP."""

from pydantic import Field, field_validator

from meshgate.config.fields import (
    AbsolutePath,
    HeaderName,
    HeaderValue,
    PositiveDuration,
    Proxy,
    Section,
)

# What carries credentials is written as a reference; what belongs to the connection is not written.
SECRET_HEADERS = frozenset(
    {"authorization", "api-key", "x-api-key", "x-goog-api-key", "proxy-authorization", "cookie"}
)
OWN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding"}
)


class ProviderTimeouts(Section):
    """How long this upstream may take, whichever model is asked for."""

    connect: PositiveDuration | None = Field(
        None,
        description="Until the connection stands. The shorter of this and the model's own holds.",
    )


class HttpSection(Section):
    """What every kind has that is reached over HTTP."""

    headers: dict[HeaderName, HeaderValue] = Field(
        {},
        description="Headers to send with every request, as text or as a reference to a secret.",
    )
    timeouts: ProviderTimeouts = Field(
        default_factory=lambda: ProviderTimeouts(connect=None),
        description="How long the upstream may take.",
    )
    ca_file: AbsolutePath | None = Field(
        None,
        description="PEM file of the authorities that may sign the upstream's certificate, "
        "in place of the system's.",
    )
    proxy: Proxy | None = Field(
        None,
        description="HTTP proxy to go through. Refer to a secret if it holds a password.",
    )

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, HeaderValue]) -> dict[str, HeaderValue]:
        names = [name.lower() for name in headers]
        for name, value in zip(names, headers.values(), strict=True):
            if names.count(name) > 1:
                raise ValueError(f"names {name} twice: remove one of them")
            if name in OWN_HEADERS:
                raise ValueError(f"must not set {name}: the gateway does")
            if name in SECRET_HEADERS and isinstance(value, str):
                raise ValueError(
                    f"must refer to the secret in {name}, as ${{env:NAME}} or ${{file:/path}}; "
                    "values are never kept in the file"
                )
        return headers
