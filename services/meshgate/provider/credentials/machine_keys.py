"""Temporary keys of AWS for the container or the machine that the gateway runs in.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html (ECS, and EKS with Pod
Identity) and https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
(EC2, by the second version of its metadata service).
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from meshgate.provider.credentials import metadata, token_service
from meshgate.provider.credentials.aws_signature import AwsKeys
from meshgate.provider.credentials.expiring import Lasting
from meshgate.provider.failures import FailureKind

_ROLE_PATH = "/latest/meta-data/iam/security-credentials/"
_TOKEN_PATH = "/latest/api/token"  # noqa: S105 - a path
_TOKEN_SECONDS = "300"  # noqa: S105 - a time
_ROLE_CHARACTERS = frozenset("+=,.@-_")


class _Keys(Struct, rename="pascal"):
    access_key_id: str
    secret_access_key: str
    token: str
    expiration: datetime


_KEYS = msgspec.json.Decoder(_Keys)


class ContainerKeys:
    """Fetches the keys of a container.

    Args:
        url: Where they are told.
        token_file: Where the platform keeps what must be shown for them; None where nothing must.
        now: Seconds since 1970.
    """

    def __init__(
        self, url: str, token_file: Path | None, now: Callable[[], float] = time.time
    ) -> None:
        self._url = url
        self._token_file = token_file
        self._now = now

    async def fetch(self) -> Lasting[AwsKeys]:
        """New keys.

        Raises:
            AttemptFailedError: There are none.
        """
        headers = {}
        if self._token_file is not None:
            try:
                token = await asyncio.to_thread(self._token_file.read_text)
            except (OSError, UnicodeDecodeError):
                raise token_service.not_to_be_had(FailureKind.AUTHENTICATION) from None
            headers["authorization"] = token.strip()
        return _read(await metadata.ask(self._url, headers), self._now())


class InstanceKeys:
    """Fetches the keys of a machine.

    Args:
        metadata_url: The address of its metadata service.
        now: Seconds since 1970.
    """

    def __init__(self, metadata_url: str, now: Callable[[], float] = time.time) -> None:
        self._url = metadata_url
        self._now = now

    async def fetch(self) -> Lasting[AwsKeys]:
        """New keys.

        Raises:
            AttemptFailedError: There are none.
        """
        wanted = {"x-aws-ec2-metadata-token-ttl-seconds": _TOKEN_SECONDS}
        token = await metadata.ask(self._url + _TOKEN_PATH, wanted, method="PUT")
        headers = {"x-aws-ec2-metadata-token": token.decode("ascii", errors="replace")}
        role = (await metadata.ask(self._url + _ROLE_PATH, headers)).decode(errors="replace")
        if not all(it.isalnum() or it in _ROLE_CHARACTERS for it in role):
            raise token_service.not_to_be_had(FailureKind.SERVER_ERROR)
        return _read(await metadata.ask(self._url + _ROLE_PATH + role, headers), self._now())


def _read(answer: bytes, now: float) -> Lasting[AwsKeys]:
    try:
        keys = _KEYS.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise token_service.not_to_be_had(FailureKind.SERVER_ERROR) from None
    value = AwsKeys(keys.access_key_id, keys.secret_access_key, keys.token)
    return Lasting(value, max(0.0, keys.expiration.timestamp() - now))
