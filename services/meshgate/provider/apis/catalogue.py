"""Which API each kind of provider has."""

from collections.abc import Callable
from functools import partial

from meshgate.dialects.openai_api.output_bound import OutputBound
from meshgate.provider.api import Api, Connection
from meshgate.provider.apis.anthropic import anthropic_api
from meshgate.provider.apis.gemini import gemini_api
from meshgate.provider.apis.openai import openai_api


def api_of(connection: Connection) -> Api:
    """The API of a provider."""
    return _APIS[connection.kind](connection)


_APIS: dict[str, Callable[[Connection], Api]] = {
    "anthropic": anthropic_api,
    "openai": partial(openai_api, bound=OutputBound.MAX_COMPLETION_TOKENS),
    "openai-compatible": openai_api,
    "gemini": gemini_api,
}
