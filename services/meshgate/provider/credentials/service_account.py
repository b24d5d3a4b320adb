"""Google's service accounts: a signed statement is exchanged for an access token.

https://developers.google.com/identity/protocols/oauth2/service-account#httprest
"""

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from msgspec import Struct

from meshgate.provider.credentials import token_service
from meshgate.provider.credentials.expiring import Lasting
from meshgate.provider.upstream import UpstreamClient

SCOPE = "https://www.googleapis.com/auth/cloud-platform"

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE_SECONDS = 3600


class _KeyFile(Struct):
    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address


class Signer(Protocol):
    """Signs by RSASSA-PKCS1-v1_5 with SHA-256."""

    def __call__(self, data: bytes, /) -> bytes: ...


@dataclass(frozen=True)
class ServiceAccount:
    """An account, and what it signs with."""

    email: str
    key_id: str
    token_uri: str
    sign: Signer = field(repr=False)

    @classmethod
    def read(cls, key_json: str) -> "ServiceAccount":
        """Read the JSON file that Google gives out for a key of the account.

        Raises:
            ValueError: It is none. The message holds nothing of it.
        """
        try:
            content = msgspec.json.decode(key_json, type=_KeyFile)
        except msgspec.DecodeError:
            raise ValueError("the service account is not the JSON file of a key") from None
        sign = _signer(content.private_key)
        return cls(content.client_email, content.private_key_id, content.token_uri, sign)

    def statement(self, scope: str, at: float) -> str:
        """A statement, signed at a time in seconds since 1970, that the account wants a token."""
        header = {"alg": "RS256", "typ": "JWT", "kid": self.key_id}
        claims = {
            "iss": self.email,
            "scope": scope,
            "aud": self.token_uri,
            "iat": int(at),
            "exp": int(at) + _LIFE_SECONDS,
        }
        signed = f"{_part(msgspec.json.encode(header))}.{_part(msgspec.json.encode(claims))}"
        return f"{signed}.{_part(self.sign(signed.encode()))}"


class ServiceAccountTokens:
    """Fetches tokens for an account.

    Args:
        client: What they are fetched with.
        account: Whose.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        client: UpstreamClient,
        account: ServiceAccount,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._account = account
        self._now = now

    async def fetch(self) -> Lasting[str]:
        """A new token.

        Raises:
            AttemptFailedError: There is none.
        """
        form = {
            "grant_type": _GRANT,
            "assertion": self._account.statement(SCOPE, self._now()),
        }
        return await token_service.fetch_token(self._client, self._account.token_uri, form)


def _signer(private_key_pem: str) -> Signer:
    # Half a hundred milliseconds to load: only who has such an account waits for it.
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        key = load_pem_private_key(private_key_pem.encode(), password=None)
    except (ValueError, TypeError):
        raise ValueError("the private key of the service account cannot be read") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the private key of the service account is not one of RSA")  # noqa: TRY004
    return lambda data: key.sign(data, PKCS1v15(), SHA256())


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
