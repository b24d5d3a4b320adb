"""AWS's Signature Version 4.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import parse_qsl, quote, urlsplit

from meshgate.provider.api import Headers

_ALGORITHM = "AWS4-HMAC-SHA256"
# Proxies on the way may change others.
_SIGNED = frozenset({"content-type"})
_OWN_PREFIX = "x-amz-"


@dataclass(frozen=True)
class AwsKeys:
    """Who signs; temporary keys have a token too."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Scope:
    """What a signature is good for, beside its day."""

    region: str
    service: str


def signed(
    url: str, headers: Headers, body: bytes, *, keys: AwsKeys, scope: Scope, at: datetime
) -> Headers:
    """The headers of a POST request, with those that sign it.

    Args:
        url: As it is sent, with what its path holds escaped.
        headers: Names in lower case.
        body: All of it.
        keys: Who signs.
        scope: What for.
        at: When.
    """
    moment = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    added: Headers = (("x-amz-date", moment),)
    if keys.session_token:
        added = (*added, ("x-amz-security-token", keys.session_token))
    names, canonical = _canonical(url, (*headers, *added), body)
    where = f"{moment[:8]}/{scope.region}/{scope.service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = _signing_key(keys.secret_access_key, moment[:8], scope)
    signature = _hmac(key, f"{_ALGORITHM}\n{moment}\n{where}\n{digest}").hex()
    authorization = (
        f"{_ALGORITHM} Credential={keys.access_key_id}/{where},"
        f" SignedHeaders={names}, Signature={signature}"
    )
    return (*headers, *added, ("authorization", authorization))


def _canonical(url: str, headers: Headers, body: bytes) -> tuple[str, str]:
    """The names of the headers that are signed, and what is signed."""
    parts = urlsplit(url)
    wanted = {
        name: " ".join(value.split())
        for name, value in headers
        if name in _SIGNED or name.startswith(_OWN_PREFIX)
    }
    told = sorted((wanted | {"host": parts.netloc.rpartition("@")[2]}).items())
    names = ";".join(name for name, _ in told)
    lines = (
        "POST",
        # What is escaped in the address is escaped once more: only S3 takes it as it is.
        quote(parts.path or "/", safe="/~"),
        _query(parts.query),
        *(f"{name}:{value}" for name, value in told),
        "",
        names,
        hashlib.sha256(body).hexdigest(),
    )
    return names, "\n".join(lines)


def _query(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    escaped = sorted((quote(name, safe="-_.~"), quote(it, safe="-_.~")) for name, it in pairs)
    return "&".join(f"{name}={value}" for name, value in escaped)


@lru_cache(maxsize=64)
def _signing_key(secret: str, day: str, scope: Scope) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (day, scope.region, scope.service, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
