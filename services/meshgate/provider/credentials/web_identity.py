"""Temporary keys of AWS for a token that the platform gives a process, as Kubernetes on EKS does.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from meshgate.provider.credentials import token_service
from meshgate.provider.credentials.aws_signature import AwsKeys
from meshgate.provider.credentials.expiring import Lasting
from meshgate.provider.failures import FailureKind
from meshgate.provider.upstream import UpstreamClient

_VERSION = "2011-06-15"
_NAMES = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
_FOUND = re.compile(rf"<({'|'.join(_NAMES)})>\s*([\x21-\x3b\x3d-\x7e]+)\s*</\1>")


@dataclass(frozen=True)
class WebIdentity:
    """Who is to be.

    Attributes:
        sts_url: The address of AWS's token service.
        role_arn: The role.
        token_file: Where the platform keeps a token that is good at the time.
    """

    sts_url: str
    role_arn: str
    token_file: Path


class WebIdentityKeys:
    """Fetches keys for a role.

    Args:
        client: What they are fetched with.
        identity: Whose.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        client: UpstreamClient,
        identity: WebIdentity,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._identity = identity
        self._now = now

    async def fetch(self) -> Lasting[AwsKeys]:
        """New keys.

        Raises:
            AttemptFailedError: There are none.
        """
        try:
            token = await asyncio.to_thread(self._identity.token_file.read_text)
        except (OSError, UnicodeDecodeError):
            raise token_service.not_to_be_had(FailureKind.AUTHENTICATION) from None
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": _VERSION,
            "RoleArn": self._identity.role_arn,
            "RoleSessionName": "meshgate",
            "WebIdentityToken": token.strip(),
        }
        answer = await token_service.fetch(self._client, self._identity.sts_url, form)
        return self._read(answer.decode(errors="replace"))

    def _read(self, answer: str) -> Lasting[AwsKeys]:
        # XML whose four texts are of a kind that needs no parser.
        found = {match[1]: match[2] for match in _FOUND.finditer(answer)}
        try:
            key_id, secret, token, end = (found[name] for name in _NAMES)
            ends_at = datetime.fromisoformat(end).timestamp()
        except (KeyError, ValueError):
            raise token_service.not_to_be_had(FailureKind.SERVER_ERROR) from None
        return Lasting(AwsKeys(key_id, secret, token), max(0.0, ends_at - self._now()))
