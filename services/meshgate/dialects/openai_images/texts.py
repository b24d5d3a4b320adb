"""What there is to count in requests for pictures."""

import msgspec
from msgspec import Struct

from meshgate.dialects.counting import CountableText, countable, unreadable
from meshgate.dialects.openai_api.request_body import decode
from meshgate.runtime.errors import InvalidRequestError


class _Request(Struct):
    prompt: str = ""


_REQUEST = msgspec.json.Decoder(_Request)


def countable_text(body: bytes) -> CountableText:
    """What a request says."""
    try:
        return countable([decode(_REQUEST, body).prompt], 0)
    except InvalidRequestError:
        return unreadable(body)
