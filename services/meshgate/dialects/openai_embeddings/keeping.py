"""What embeddings requests are alike, and which answers to them are worth keeping."""

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.canonical import CanonicalRequest, json_form
from meshgate.dialects.openai_embeddings.passthrough import glance


def canonical(body: bytes) -> CanonicalRequest:
    """A request in its one form, without what only tells the provider who asked.

    Raises:
        NoCanonicalFormError: It has none.
    """
    return CanonicalRequest(json_form(body, without=("user",)))


def is_worth_keeping(body: bytes) -> bool:
    """Whether it holds vectors."""
    try:
        glance(body)
    except MalformedAnswerError:
        return False
    return True
