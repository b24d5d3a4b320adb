"""UsageService, assembled: what answers it, and who lets callers in."""

import secrets
import time

from meshgate.quota.bookkeeping import Books
from meshgate.quota.usage_servicer import UsageServicer
from meshgate.runtime.authentication import RemoteAuthenticator
from meshgate.runtime.authorization import Authorizer
from meshgate.runtime.environment import Environment
from meshgate.runtime.identity import MeshIdentity
from meshgate.runtime.page_tokens import SecretSeal
from meshgate.runtime.peers import Peers
from meshgate.runtime.service import Implementation
from meshgate.v1 import usage_service_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["UsageService"]


async def usage_api(books: Books, env: Environment, peers: Peers) -> tuple[Implementation, ...]:
    """UsageService; nothing where nobody can tell who calls."""
    auth = await peers.connect_if_any("auth")
    if auth is None:
        return ()
    servicer = UsageServicer(books.ledger, _seal(env), _now)
    authorizer = Authorizer(RemoteAuthenticator(auth))
    return (Implementation(SERVICE, servicer, authorizer=authorizer),)


def _seal(env: Environment) -> SecretSeal:
    """The same in every process of the mesh: the next page may be asked of another."""
    token = MeshIdentity.read(env).token
    secret = secrets.token_bytes(32) if token is None else token.encode()
    return SecretSeal(secret, "page tokens of usage")


def _now() -> int:
    return time.time_ns() // 1_000
