"""Which API each kind of provider has."""

from collections.abc import Callable
from functools import partial

from meshgate.config.openai_family.members import MEMBERS
from meshgate.dialects.openai_chat.variant import OPENAI
from meshgate.provider.api import Api, Connection
from meshgate.provider.apis.anthropic import anthropic_api
from meshgate.provider.apis.gemini import gemini_api
from meshgate.provider.apis.openai import EVERYTHING, openai_api


def api_of(connection: Connection) -> Api:
    """The API of a provider."""
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
}
