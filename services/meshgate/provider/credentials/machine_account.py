"""The account of a machine in Google's cloud, whose tokens the machine itself gives out.

https://cloud.google.com/compute/docs/access/authenticate-workloads#applications
"""

from meshgate.provider.credentials import metadata, token_service
from meshgate.provider.credentials.expiring import Lasting

_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"


async def machine_token(metadata_url: str) -> Lasting[str]:
    """A token for the machine's account.

    Raises:
        AttemptFailedError: There is none.
    """
    answer = await metadata.ask(metadata_url + _PATH, {"metadata-flavor": "Google"})
    return token_service.read_token(answer)
