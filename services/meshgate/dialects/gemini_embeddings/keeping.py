"""What batchEmbedContents requests are alike, and which answers to them are worth keeping."""

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.canonical import CanonicalRequest, NoCanonicalFormError, members_of, written
from meshgate.dialects.gemini_embeddings.read_request import REQUESTS
from meshgate.dialects.gemini_embeddings.read_response import glance
from meshgate.dialects.gemini_generate.member_names import with_camel_case
from meshgate.dialects.neutral import FinishReason
from meshgate.runtime.errors import InvalidRequestError


def canonical(body: bytes) -> CanonicalRequest:
    """A request in its one form, with names in Google's own spelling.

    Raises:
        NoCanonicalFormError: It has none.
    """
    members_of(body)  # before anything is spelled in another way: no name stands there twice
    try:
        return CanonicalRequest(written(members_of(with_camel_case(body, REQUESTS))))
    except InvalidRequestError as error:
        raise NoCanonicalFormError("a member is named in two ways") from error


def good_end(body: bytes) -> FinishReason | None:
    """UNSPECIFIED, since there is no reason to end; None for an answer without vectors."""
    try:
        return glance(body).finish_reason
    except MalformedAnswerError:
        return None
