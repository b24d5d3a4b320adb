"""The services that give out tokens, asked by way of the gateway's own upstream client."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct

from meshgate.provider.credentials.expiring import Lasting
from meshgate.provider.failures import AttemptFailedError, Failure, FailureKind
from meshgate.provider.phases import PhaseClock, PhaseTimeoutError, PhaseTimeouts
from meshgate.provider.upstream import UpstreamCallError, UpstreamClient

_FORM = (
    ("content-type", "application/x-www-form-urlencoded"),
    ("accept", "application/json"),
)
_TIMEOUTS = PhaseTimeouts(connect_seconds=5.0, first_token_seconds=10.0, total_seconds=10.0)
_ANSWER_LIMIT_BYTES = 64 * 1024
_LONGEST_SECONDS = 86_400.0


class _Token(Struct):
    access_token: Annotated[str, Meta(pattern=r"^[\x21-\x7e]+$")]
    expires_in: float | str = 3600.0


_TOKEN = msgspec.json.Decoder(_Token)


async def fetch(client: UpstreamClient, url: str, form: Mapping[str, str]) -> bytes:
    """What a service answers to a form.

    Raises:
        AttemptFailedError: It refused, or did not answer well and in time.
    """
    clock = PhaseClock(_TIMEOUTS)
    try:
        async with client.post(url, _FORM, urlencode(form).encode(), clock) as response:
            if response.status != HTTPStatus.OK:
                raise _refused(response.status)
            return await response.read(_ANSWER_LIMIT_BYTES)
    except PhaseTimeoutError:
        raise not_to_be_had(FailureKind.TIMEOUT) from None
    except UpstreamCallError:
        raise not_to_be_had(FailureKind.CONNECTION) from None
    finally:
        clock.close()


async def fetch_token(client: UpstreamClient, url: str, form: Mapping[str, str]) -> Lasting[str]:
    """The access token that a service gives for a form: RFC 6749, section 5.1.

    Raises:
        AttemptFailedError: There is none.
    """
    body = await fetch(client, url, form)
    return read_token(body)


def read_token(body: bytes) -> Lasting[str]:
    """The token in an answer.

    Raises:
        AttemptFailedError: There is none in it.
    """
    try:
        token = _TOKEN.decode(body)
        seconds = float(token.expires_in)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        raise not_to_be_had(FailureKind.SERVER_ERROR) from None
    return Lasting(token.access_token, min(max(seconds, 0.0), _LONGEST_SECONDS))


def not_to_be_had(kind: FailureKind) -> AttemptFailedError:
    """The error of a credential that cannot be had; it repeats nothing of what the service said."""
    return AttemptFailedError(
        Failure(kind, "the gateway cannot get a credential for this upstream at the moment")
    )


def _refused(status: int) -> AttemptFailedError:
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return not_to_be_had(FailureKind.OVERLOADED)
    return AttemptFailedError(
        Failure(FailureKind.AUTHENTICATION, "the upstream refuses the gateway's credential")
    )
