"""Anthropic's HTTP API."""

from meshgate.dialects.anthropic_messages import errors, read_request, token_count
from meshgate.dialects.anthropic_messages.costed_stream import CostedStream
from meshgate.routing.edges.answering import Endpoint, answered
from meshgate.routing.pipeline import Pipeline
from meshgate.runtime.errors import GatewayError, UpstreamFailedError
from meshgate.runtime.service import ErrorBody
from meshgate.v1 import anthropic_service_pb2 as pb
from meshgate.v1 import anthropic_service_pb2_grpc as rpc
from meshgate.v1 import provider_service_pb2 as provider_pb

SERVICE = pb.DESCRIPTOR.services_by_name["AnthropicService"]

_MESSAGES = Endpoint(
    "AnthropicService.Messages",
    provider_pb.DIALECT_ANTHROPIC_MESSAGES,
    read_request.read_head,
    errors.write_error_event,
    CostedStream,
)
_COUNT_TOKENS = Endpoint(
    "AnthropicService.CountTokens",
    provider_pb.DIALECT_ANTHROPIC_TOKEN_COUNT,
    token_count.read_head,
    errors.write_error_event,
)
_UNAVAILABLE = 503
_OVERLOADED = 529


class AnthropicServicer(rpc.AnthropicServiceServicer):
    """AnthropicService, by way of the pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline

    Messages = answered(_MESSAGES)
    CountTokens = answered(_COUNT_TOKENS)


def error_body(error: GatewayError) -> ErrorBody:
    """An error as Anthropic's clients expect it; they know an overloaded model by its own status."""
    is_overloaded = isinstance(error, UpstreamFailedError) and error.http_status == _UNAVAILABLE
    status = _OVERLOADED if is_overloaded else error.http_status
    return ErrorBody(status, errors.write_error(error))
