"""Embeddings by way of the neutral form, between dialects that are not the same."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from meshgate.dialects.answers import AnswerGlance, AnswerStream, RequestHead
from meshgate.dialects.cohere_embeddings import read_response as read_cohere_response
from meshgate.dialects.cohere_embeddings import write_request as write_cohere_request
from meshgate.dialects.gemini_embeddings import read_request as read_gemini_request
from meshgate.dialects.gemini_embeddings import read_response as read_gemini_response
from meshgate.dialects.gemini_embeddings import write_request as write_gemini_request
from meshgate.dialects.gemini_embeddings import write_response as write_gemini_response
from meshgate.dialects.neutral import (
    EmbeddingsRequest,
    EmbeddingsResponse,
    EncodingFormat,
    FinishReason,
)
from meshgate.dialects.openai_embeddings import read_request as read_openai_request
from meshgate.dialects.openai_embeddings import read_response as read_openai_response
from meshgate.dialects.openai_embeddings import write_request as write_openai_request
from meshgate.dialects.openai_embeddings import write_response as write_openai_response
from meshgate.dialects.translator import CallerAnswer, UpstreamRequest
from meshgate.runtime.errors import UnsupportedError


class EmbeddingsWriter(Protocol):
    """Writes an answer, with its vectors as the caller asked for them."""

    def __call__(
        self, response: EmbeddingsResponse, /, *, encoding_format: EncodingFormat
    ) -> bytes: ...


@dataclass(frozen=True)
class EmbeddingsCaller:
    """The jobs of a dialect that callers speak."""

    read_head: Callable[[bytes], RequestHead]
    read_request: Callable[[bytes], EmbeddingsRequest]
    write_response: EmbeddingsWriter


@dataclass(frozen=True)
class EmbeddingsUpstream:
    """The jobs of a dialect that upstreams speak. A request is written to a model."""

    write_request: Callable[[EmbeddingsRequest, str], bytes]
    read_response: Callable[[bytes], EmbeddingsResponse]


def _write_gemini(response: EmbeddingsResponse, /, *, encoding_format: EncodingFormat) -> bytes:
    del encoding_format  # there is one
    return write_gemini_response.write(response)


def _write_openai(response: EmbeddingsResponse, /, *, encoding_format: EncodingFormat) -> bytes:
    return write_openai_response.write(response, encoding_format=encoding_format)


CALLERS = {
    "openai_embeddings": EmbeddingsCaller(
        read_openai_request.read_head, read_openai_request.read, _write_openai
    ),
    "gemini_embeddings": EmbeddingsCaller(
        read_gemini_request.read_head, read_gemini_request.read, _write_gemini
    ),
}
UPSTREAMS = {
    "openai_embeddings": EmbeddingsUpstream(write_openai_request.write, read_openai_response.read),
    "gemini_embeddings": EmbeddingsUpstream(write_gemini_request.write, read_gemini_response.read),
    "cohere_embeddings": EmbeddingsUpstream(write_cohere_request.write, read_cohere_response.read),
}


def embeddings_translation(
    caller_dialect: str, upstream_dialect: str
) -> "EmbeddingsTranslation | None":
    """What stands between two dialects of embeddings; None where one of them is none."""
    caller, upstream = CALLERS.get(caller_dialect), UPSTREAMS.get(upstream_dialect)
    if caller is None or upstream is None:
        return None
    return EmbeddingsTranslation(caller, upstream)


@dataclass(frozen=True)
class EmbeddingsTranslation:
    """Embeddings by way of the neutral form."""

    caller: EmbeddingsCaller
    upstream: EmbeddingsUpstream

    def request(
        self, body: bytes, model: str, *, stream: bool, output_cap: int | None = None
    ) -> UpstreamRequest:
        """Translate a request. There are no streams, and no output to be capped."""
        del stream, output_cap
        neutral = self.caller.read_request(body)
        return UpstreamRequest(
            self.upstream.write_request(neutral, model),
            self.caller.read_head(body),
            partial(self._answered, model, neutral.encoding_format),
        )

    def answer(self, body: bytes, *, created: int) -> CallerAnswer:
        """Translate an answer, for a caller who has no wishes."""
        del created
        return self._answered("", EncodingFormat.FLOAT, body)

    def stream(self, *, created: int, include_usage: bool) -> AnswerStream:
        """Refuse: embeddings are not streamed."""
        raise UnsupportedError("embeddings are not streamed", field="stream")

    def _answered(self, model: str, encoding_format: EncodingFormat, body: bytes) -> CallerAnswer:
        response = self.upstream.read_response(body)
        response = replace(response, served_model=response.served_model or model)
        glance = AnswerGlance(response.served_model, response.usage, FinishReason.UNSPECIFIED)
        written = self.caller.write_response(response, encoding_format=encoding_format)
        return CallerAnswer(written, glance)
