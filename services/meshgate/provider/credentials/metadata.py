"""What a machine or a container in a cloud is told about itself, by plain HTTP on its own network."""

from collections.abc import Mapping
from http import HTTPStatus

from meshgate.provider.credentials import token_service
from meshgate.provider.failures import FailureKind
from meshgate.provider.trust import trust

_SECONDS = 5.0
_ANSWER_LIMIT_BYTES = 64 * 1024


async def ask(url: str, headers: Mapping[str, str], method: str = "GET") -> bytes:
    """What is told.

    Raises:
        AttemptFailedError: Nothing is.
    """
    # The gateway's own client only posts. This one's library takes half a second to load.
    import httpx  # noqa: PLC0415

    try:
        async with httpx.AsyncClient(
            timeout=_SECONDS, trust_env=False, verify=trust(None)
        ) as client:
            answer = await client.request(method, url, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL):
        raise token_service.not_to_be_had(FailureKind.CONNECTION) from None
    if answer.status_code != HTTPStatus.OK or len(answer.content) > _ANSWER_LIMIT_BYTES:
        raise token_service.not_to_be_had(FailureKind.AUTHENTICATION)
    return answer.content
