"""Which API each kind of provider has."""

from collections.abc import Callable
from functools import partial

from meshgate.config.openai_family.members import MEMBERS
from meshgate.dialects.openai_chat.variant import OPENAI
from meshgate.provider.api import Api, Connection
from meshgate.provider.apis.anthropic import anthropic_api
from meshgate.provider.apis.azure import azure_api
from meshgate.provider.apis.bedrock import bedrock_api
from meshgate.provider.apis.cohere import cohere_api
from meshgate.provider.apis.gemini import gemini_api
from meshgate.provider.apis.openai import EVERYTHING, openai_api
from meshgate.provider.apis.vertex import vertex_api
from meshgate.provider.upstream import UpstreamClient


def api_of(connection: Connection, make_client: Callable[[], UpstreamClient]) -> Api:
    """The API of a provider; what its credentials are fetched with is made by `make_client`.

    Raises:
        ValueError: Its secrets are not of the kind that they must be.
    """
    if connection.kind in _CLOUDS:
        return _CLOUDS[connection.kind](connection, make_client)
    return _APIS[connection.kind](connection)


_APIS: dict[str, Callable[[Connection], Api]] = {
    "anthropic": anthropic_api,
    "gemini": gemini_api,
    "openai": partial(openai_api, variant=OPENAI, answers=EVERYTHING),
    "openai-compatible": openai_api,
    **{
        kind: partial(openai_api, variant=member.chat, answers=member.answers)
        for kind, member in MEMBERS.items()
    },
    "cohere": cohere_api,
}
_CLOUDS: dict[str, Callable[[Connection, Callable[[], UpstreamClient]], Api]] = {
    "azure": azure_api,
    "bedrock": bedrock_api,
    "vertex": vertex_api,
}
