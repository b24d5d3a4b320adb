"""GatewayService.Embed, in the words of OpenAI's embeddings, which every upstream understands."""

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.meshgate_chat.usage import write_usage
from meshgate.dialects.neutral import EmbeddingsRequest, EncodingFormat
from meshgate.dialects.openai_embeddings import read_response, write_request
from meshgate.runtime.errors import InvalidRequestError, UpstreamFailedError
from meshgate.v1 import gateway_service_pb2 as pb


def written_request(request: pb.EmbedRequest) -> bytes:
    """A request in OpenAI's words.

    Raises:
        InvalidRequestError: It breaks a rule that its proto states.
    """
    if not request.model:
        raise InvalidRequestError("the request names no model", field="model")
    if not request.texts:
        raise InvalidRequestError("the request holds no text", field="texts")
    dimensions = request.dimensions if request.HasField("dimensions") else None
    if dimensions is not None and dimensions < 1:
        raise InvalidRequestError("dimensions must be at least 1", field="dimensions")
    neutral = EmbeddingsRequest(
        model=request.model,
        inputs=tuple(request.texts),
        encoding_format=EncodingFormat.BASE64,  # a quarter of the bytes, and nothing is rounded
        dimensions=dimensions,
        extra_json=request.extra_json,
    )
    return write_request.write(neutral, request.model)


def read_answer(body: bytes, count: int) -> pb.EmbedResponse:
    """An answer in OpenAI's words, to so many texts.

    Raises:
        UpstreamFailedError: It is not one vector for each, all of one length.
    """
    try:
        answer = read_response.read(body)
    except MalformedAnswerError as error:
        raise _nonsense() from error
    lengths = {len(vector) for vector in answer.vectors}
    if len(answer.vectors) != count or len(lengths) != 1:
        raise _nonsense()
    return pb.EmbedResponse(
        served_model=answer.served_model,
        embeddings=[pb.Embedding(values=vector) for vector in answer.vectors],
        dimensions=lengths.pop(),
        usage=write_usage(answer.usage),
    )


def _nonsense() -> UpstreamFailedError:
    return UpstreamFailedError("the upstream's vectors do not fit the texts")
