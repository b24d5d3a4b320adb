"""The account of a machine in Google's cloud, whose tokens the machine itself gives out.

https://cloud.google.com/compute/docs/access/authenticate-workloads#applications
"""

from http import HTTPStatus

from meshgate.provider.credentials import token_service
from meshgate.provider.credentials.expiring import Lasting
from meshgate.provider.failures import FailureKind

_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
_HEADERS = {"metadata-flavor": "Google"}
_SECONDS = 5.0


async def machine_token(metadata_url: str) -> Lasting[str]:
    """A token for the machine's account.

    Raises:
        AttemptFailedError: There is none.
    """
    # The gateway's own client only posts. Its library takes half a second to load.
    import httpx  # noqa: PLC0415

    try:
        async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
            answer = await client.get(metadata_url + _PATH, headers=_HEADERS)
    except httpx.HTTPError:
        raise token_service.not_to_be_had(FailureKind.CONNECTION) from None
    if answer.status_code != HTTPStatus.OK:
        raise token_service.not_to_be_had(FailureKind.AUTHENTICATION)
    return token_service.read_token(answer.content)
