"""What there is to count in embeddings requests."""

from meshgate.dialects.counting import CountableText, countable, unreadable
from meshgate.dialects.openai_embeddings import read_request
from meshgate.runtime.errors import InvalidRequestError


def countable_text(body: bytes) -> CountableText:
    """What a request says. Inputs that are cut into tokens already count as many as they are."""
    try:
        inputs = read_request.read(body).inputs
    except InvalidRequestError:
        return unreadable(body)
    return countable((item if isinstance(item, str) else len(item) for item in inputs), 0)


def answer_texts(body: bytes) -> list[str]:
    """Nothing: vectors are no output that is counted."""
    del body
    return []
