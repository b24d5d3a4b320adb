"""What there is to count in the typed API's requests and answers."""

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.counting import CountableText, of_parts, of_request, unreadable
from meshgate.dialects.meshgate_chat import read_request, read_response
from meshgate.runtime.errors import InvalidRequestError


def countable_text(body: bytes) -> CountableText:
    """What a request says."""
    try:
        return of_request(read_request.read(body))
    except InvalidRequestError:
        return unreadable(body)


def answer_texts(body: bytes) -> list[str]:
    """What a plain answer says."""
    try:
        parts = read_response.read(body).message.parts
    except MalformedAnswerError:
        return unreadable(body).texts
    return [item for item in of_parts(parts) if isinstance(item, str) and item]
