"""What stands between a caller and an upstream of the same dialect: bytes pass as they are.

Only the model's name is changed, and what policy demands: a bound on the output. What a provider adds
tomorrow is not lost.
"""

from collections.abc import Callable
from dataclasses import dataclass

from meshgate.dialects.answers import AnswerGlance, AnswerStream, RequestHead
from meshgate.dialects.anthropic_messages import passthrough as anthropic_messages
from meshgate.dialects.anthropic_messages import read_request as read_anthropic_messages
from meshgate.dialects.anthropic_messages import token_count as anthropic_token_count
from meshgate.dialects.gemini_embeddings import passthrough as gemini_embeddings
from meshgate.dialects.gemini_embeddings import read_request as read_gemini_embeddings
from meshgate.dialects.gemini_generate import passthrough as gemini_generate
from meshgate.dialects.gemini_generate import read_request as read_gemini_generate
from meshgate.dialects.gemini_generate import token_count as gemini_token_count
from meshgate.dialects.media import MEDIA
from meshgate.dialects.media_dialect import MediaDialect
from meshgate.dialects.openai_chat import passthrough as openai_chat
from meshgate.dialects.openai_chat import read_request as read_openai_chat
from meshgate.dialects.openai_chat.variant import Variant
from meshgate.dialects.openai_completions import passthrough as openai_completions
from meshgate.dialects.openai_completions import read_request as read_openai_completions
from meshgate.dialects.openai_embeddings import passthrough as openai_embeddings
from meshgate.dialects.openai_embeddings import read_request as read_openai_embeddings
from meshgate.dialects.openai_responses import passthrough as openai_responses
from meshgate.dialects.openai_responses import read_request as read_openai_responses
from meshgate.dialects.translator import CallerAnswer, UpstreamRequest
from meshgate.runtime.errors import UnsupportedError

_OutputCap = int | None


@dataclass(frozen=True)
class Passthrough:
    """Passes the traffic of one dialect.

    Attributes:
        read_head: Reads what routing needs of a request. Raises InvalidRequestError.
        retarget: Writes a request to the upstream's model, for no more than so many tokens.
        glance: What is worth knowing of a plain answer. Raises MalformedAnswerError.
        follow: Begins to follow a stream, by whether the caller wants the usage; None where there are
            no streams.
    """

    read_head: Callable[[bytes], RequestHead]
    retarget: Callable[[bytes, str, RequestHead, _OutputCap], bytes]
    glance: Callable[[bytes], AnswerGlance]
    follow: Callable[[bool], AnswerStream] | None = None

    def request(
        self, body: bytes, model: str, *, stream: bool, output_cap: int | None = None
    ) -> UpstreamRequest:
        """Replace the model's name. Whether to stream stands in the body or in the URL already."""
        del stream
        head = self.read_head(body)
        return UpstreamRequest(self.retarget(body, model, head, output_cap), head)

    def answer(self, body: bytes, *, created: int) -> CallerAnswer:
        """Pass the answer on, which tells its own time where the dialect has one."""
        del created
        return CallerAnswer(body, self.glance(body))

    def stream(self, *, created: int, include_usage: bool) -> AnswerStream:
        """Follow the stream, whose events tell their own time.

        Raises:
            UnsupportedError: There are no streams.
        """
        del created
        if self.follow is None:
            raise UnsupportedError("these answers are not streamed", field="stream")
        return self.follow(include_usage)


def passthrough(dialect: str, variant: Variant) -> Passthrough | None:
    """What passes a dialect's traffic to an upstream of this variant; None where nothing does."""
    if dialect == "openai_chat":
        return _openai_chat(variant)
    return _PASSTHROUGHS.get(dialect)


def _openai_chat(variant: Variant) -> Passthrough:
    return Passthrough(
        read_head=read_openai_chat.read_head,
        retarget=lambda body, model, head, cap: openai_chat.retarget(
            body, model, head, cap, variant
        ),
        glance=openai_chat.glance,
        follow=lambda include_usage: openai_chat.StreamTracker(include_usage=include_usage),
    )


def _media(media: MediaDialect) -> Passthrough:
    """Pictures, sounds, judgements and rankings: nothing of them can be capped."""
    return Passthrough(
        read_head=media.read_head,
        retarget=lambda body, model, head, _: media.retarget(body, model, head),
        glance=media.glance,
        follow=media.stream,
    )


_PASSTHROUGHS = {
    **{name: _media(media) for name, media in MEDIA.items()},
    "openai_completions": Passthrough(
        read_head=read_openai_completions.read_head,
        retarget=openai_completions.retarget,
        glance=openai_completions.glance,
        follow=lambda include_usage: openai_completions.StreamTracker(include_usage=include_usage),
    ),
    "openai_responses": Passthrough(
        read_head=read_openai_responses.read_head,
        retarget=openai_responses.retarget,
        glance=openai_responses.glance,
        follow=lambda _: openai_responses.StreamTracker(),  # the usage is always told
    ),
    "openai_embeddings": Passthrough(
        read_head=read_openai_embeddings.read_head,
        retarget=lambda body, model, head, _: openai_embeddings.retarget(body, model, head),
        glance=openai_embeddings.glance,
    ),
    "anthropic_messages": Passthrough(
        read_head=read_anthropic_messages.read_head,
        retarget=lambda body, model, _, cap: anthropic_messages.retarget(body, model, cap),
        glance=anthropic_messages.glance,
        follow=lambda _: anthropic_messages.StreamTracker(),
    ),
    "anthropic_token_count": Passthrough(
        read_head=anthropic_token_count.read_head,
        retarget=lambda body, model, *_: anthropic_token_count.retarget(body, model),
        glance=anthropic_token_count.glance,
    ),
    "gemini_generate": Passthrough(
        read_head=read_gemini_generate.read_head,
        # The model stands in the URL.
        retarget=lambda body, model, _head, cap: gemini_generate.retarget(body, model, cap),
        glance=gemini_generate.glance,
        follow=lambda _: gemini_generate.StreamTracker(),
    ),
    "gemini_token_count": Passthrough(
        read_head=gemini_token_count.read_head,
        retarget=lambda body, model, *_: gemini_token_count.retarget(body, model),
        glance=gemini_token_count.glance,
    ),
    "gemini_embeddings": Passthrough(
        read_head=read_gemini_embeddings.read_head,
        retarget=lambda body, model, *_: gemini_embeddings.retarget(body, model),
        glance=gemini_embeddings.glance,
    ),
}
