"""What a request asks for that needs responses which somebody has kept.

Nothing is kept here, and the gateway's other replicas and targets would not know of it: such a request
is refused, and where one does not say `store`, which means true to OpenAI, the upstream is told false.
"""

from collections.abc import Mapping

from msgspec import Raw

from meshgate.dialects.openai_responses.fields import STORED
from meshgate.runtime.errors import UnsupportedError

_NULL = b"null"


def check(members: Mapping[str, Raw]) -> None:
    """Check the members of a request.

    Raises:
        UnsupportedError: One of them needs a response that was kept, or wants one to be.
    """
    for name, harmless in STORED.items():
        value = bytes(members.get(name, Raw(_NULL))).strip()
        if value != _NULL and value not in harmless:
            raise not_kept(name)


def not_kept(field: str) -> UnsupportedError:
    """The error for what needs a response that was kept."""
    return UnsupportedError(
        f"Unsupported parameter: '{field}' needs stored responses, and this gateway stores none."
        " Send the whole conversation in 'input', and 'store' as false.",
        field=field,
    )
