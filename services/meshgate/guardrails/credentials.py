"""Keys of well-known services, tokens and private keys."""

import base64
import binascii
import json

from meshgate.guardrails.matching import Kind, Matcher, PatternMatcher, Span
from meshgate.guardrails.neighbours import after, before, is_word

SECRET_REACH = 8192
_LONGEST_HEADER = 2048

_FORMS = (
    r"sk-[A-Za-z0-9_-]{20,220}",  # OpenAI, Anthropic (sk-ant-), and who copies them
    r"AIza[A-Za-z0-9_-]{35}",  # Google
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",  # AWS
    r"gh[pousr]_[A-Za-z0-9]{36,250}",  # GitHub
    r"github_pat_[A-Za-z0-9_]{22,250}",
    r"xox[abeoprs]-[A-Za-z0-9-]{10,250}",  # Slack
    r"hf_[A-Za-z0-9]{30,60}",  # Hugging Face
    r"glpat-[A-Za-z0-9_-]{20,60}",  # GitLab
    r"npm_[A-Za-z0-9]{36}",
    r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,250}",  # Stripe
    r"mg-[a-z2-9]{20}-[A-Za-z0-9]{43}",  # Meshgate
)


def _api_key(data: bytes, start: int, end: int) -> Span | None:
    text = data[start:end]
    # Words joined by hyphens have no digits, or no letters beside their prefix.
    has_digit = any(byte in b"0123456789" for byte in text)
    is_random = has_digit and len(set(text)) > 9  # noqa: PLR2004
    return (start, end) if is_random and not is_word(after(data, end)) else None


def _jwt(data: bytes, start: int, end: int) -> Span | None:
    if is_word(before(data, start)):
        return None
    stop = data.find(b".", start, min(end, start + _LONGEST_HEADER))
    header = data[start:stop]
    try:
        decoded = json.loads(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return (start, end) if isinstance(decoded, dict) and "alg" in decoded else None


_LABEL = r"(?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_BREAKS = r"(?:\s|\\[rn]){1,4}"
_REMARKS = r"(?:[A-Za-z-]{1,20}: [^\n]{0,100}\n+){0,4}"
# Whole, or else what of it there is within the reach.
_PRIVATE_KEY = (
    rf"-----BEGIN {_LABEL}(?:(?s:.)*?-----END {_LABEL}"
    rf"|{_BREAKS}{_REMARKS}[A-Za-z0-9+/=]{{16,}}(?:[A-Za-z0-9+/=\s\\]*[A-Za-z0-9+/=])?)"
)

_MASK = "SECRET"
API_KEY: Matcher = PatternMatcher(
    Kind.named("api-key", _MASK), rf"\b(?:{'|'.join(_FORMS)})", check=_api_key
)
JWT: Matcher = PatternMatcher(
    Kind.named("jwt", _MASK),
    r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*",
    SECRET_REACH,
    _jwt,
)
PRIVATE_KEY: Matcher = PatternMatcher(Kind.named("private-key", _MASK), _PRIVATE_KEY, SECRET_REACH)
