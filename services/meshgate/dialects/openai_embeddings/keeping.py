"""What embeddings requests are alike, and which answers to them are worth keeping."""

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.canonical import CanonicalRequest, json_form
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.openai_embeddings.passthrough import glance


def canonical(body: bytes) -> CanonicalRequest:
    """A request in its one form, without what only tells the provider who asked.

    Raises:
        NoCanonicalFormError: It has none.
    """
    return CanonicalRequest(json_form(body, without=("user",)))


def good_end(body: bytes) -> FinishReason | None:
    """UNSPECIFIED, since there is no reason to end; None for an answer without vectors."""
    try:
        return glance(body).finish_reason
    except MalformedAnswerError:
        return None
