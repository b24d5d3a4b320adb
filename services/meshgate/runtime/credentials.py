"""What a client proves itself with, as it stands in the metadata of a call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meshgate.runtime.errors import CredentialInvalidError, CredentialMissingError

CLIENT_ADDRESS_KEY = "x-envoy-external-address"

HOW_TO_SEND = "send it as `authorization: Bearer KEY`, `x-api-key: KEY` or `x-goog-api-key: KEY`"
"""Which headers may hold a key, for callers who sent none."""

LONGEST_ADDRESS = 64
LONGEST_CREDENTIAL = 8_192


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential, and where it is used.

    Attributes:
        text: What the client sent, without the scheme. Never logged.
        client_address: The client's address as Envoy saw it; empty for callers inside the mesh.
    """

    text: str = field(repr=False)
    client_address: str

    @classmethod
    def from_context(cls, context: Any) -> "Credential":
        """The credential of a call.

        Raises:
            CredentialMissingError: It has none.
            CredentialInvalidError: It is too long to be one.
        """
        metadata: dict[str, str] = dict(context.invocation_metadata())
        text = credential_in(metadata)
        if text is None:
            raise CredentialMissingError(f"no API key was given: {HOW_TO_SEND}")
        if len(text) > LONGEST_CREDENTIAL:
            raise CredentialInvalidError("what was given is too long to be an API key")
        return cls(text, metadata.get(CLIENT_ADDRESS_KEY, "")[:LONGEST_ADDRESS])


def credential_in(metadata: Mapping[str, str]) -> str | None:
    """What a client sent to prove itself: a bearer token, or else an API key in a header of its own.

    Anthropic's SDKs send `x-api-key`, and Google's `x-goog-api-key`.
    """
    authorization = metadata.get("authorization")
    if authorization is not None:
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() == "bearer" and text.strip():
            return text.strip()
    for name in ("x-api-key", "x-goog-api-key"):
        if text := metadata.get(name, "").strip():
            return text
    return None
