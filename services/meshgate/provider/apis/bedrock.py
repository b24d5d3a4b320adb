"""Amazon Bedrock: its Converse API, for all models that it has."""

from collections.abc import Callable
from pathlib import Path

from meshgate.dialects.bedrock_converse.event_stream import MEDIA_TYPE
from meshgate.provider.api import (
    Api,
    Connection,
    Credentials,
    Headers,
    hidden_texts,
    joined_headers,
)
from meshgate.provider.apis.chat_endpoints import chat_endpoints
from meshgate.provider.credentials.aws import KeySource, SignedRequests, StandingKeys
from meshgate.provider.credentials.aws_signature import AwsKeys, Scope
from meshgate.provider.credentials.expiring import Expiring
from meshgate.provider.credentials.fetched_keys import FetchedKeys
from meshgate.provider.credentials.machine_keys import ContainerKeys, InstanceKeys
from meshgate.provider.credentials.web_identity import WebIdentity, WebIdentityKeys
from meshgate.provider.upstream import UpstreamClient

_SHOWN_HEADERS: Headers = (("x-amzn-requestid", "x-upstream-request-id"),)
_SERVICE = "bedrock"


def bedrock_api(connection: Connection, make_client: Callable[[], UpstreamClient]) -> Api:
    """The API of Bedrock in one region.

    Proven by a key of Bedrock's own where there is one, and else by signatures: with the keys that
    stand in the options, or with temporary ones for a role, a container or a machine.

    Args:
        connection: Its options are `region`, and `access_key_id`, `secret_access_key` and maybe
            `session_token`, or `role_arn`, `token_file` and `sts_url`, or `container_url` and maybe
            `token_file`, or `instance_url`.
        make_client: Makes what temporary keys are fetched with.
    """
    options, api_key = connection.options, connection.api_key
    keys = [options.get(name, "") for name in ("secret_access_key", "session_token")]
    return Api(
        endpoints=chat_endpoints(
            "bedrock_converse",
            f"{connection.base_url}/model/{{model}}/converse",
            stream_url=f"{connection.base_url}/model/{{model}}/converse-stream",
            stream_media_type=MEDIA_TYPE,
        ),
        headers=joined_headers(
            {"authorization": f"Bearer {api_key}"} if api_key else {}, connection.headers
        ),
        shown_headers=_SHOWN_HEADERS,
        hidden=hidden_texts(connection.base_url, (api_key, *keys, *connection.headers.values())),
        credentials=None if api_key else _signatures(connection, make_client),
    )


def _signatures(connection: Connection, make_client: Callable[[], UpstreamClient]) -> Credentials:
    scope = Scope(connection.options["region"], _SERVICE)
    return SignedRequests(_keys(connection, make_client), scope)


def _keys(connection: Connection, make_client: Callable[[], UpstreamClient]) -> KeySource:
    options = connection.options
    token_file = Path(options["token_file"]) if "token_file" in options else None
    if "container_url" in options:
        return FetchedKeys(Expiring(ContainerKeys(options["container_url"], token_file).fetch))
    if "instance_url" in options:
        return FetchedKeys(Expiring(InstanceKeys(options["instance_url"]).fetch))
    if "role_arn" in options and token_file is not None:
        client = make_client()
        identity = WebIdentity(options["sts_url"], options["role_arn"], token_file)
        return FetchedKeys(Expiring(WebIdentityKeys(client, identity).fetch), client)
    session_token = options.get("session_token", "")
    return StandingKeys(
        AwsKeys(options["access_key_id"], options["secret_access_key"], session_token)
    )
