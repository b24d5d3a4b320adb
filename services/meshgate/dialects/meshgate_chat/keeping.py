"""What typed chat requests are alike, and which answers to them are worth keeping."""

from google.protobuf.message import DecodeError

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.canonical import CanonicalRequest, NoCanonicalFormError, json_form
from meshgate.dialects.meshgate_chat import read_response
from meshgate.dialects.neutral import FinishReason, Refusal
from meshgate.v1 import gateway_service_pb2

_KEPT_REASONS = frozenset({FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_CALLS})


def canonical(body: bytes) -> CanonicalRequest:
    """A request in its one form, without the metadata and the user, which only tell who asked.

    Raises:
        NoCanonicalFormError: It has none.
    """
    try:
        request = gateway_service_pb2.ChatRequest.FromString(body)
    except DecodeError as error:
        raise NoCanonicalFormError("the body is no ChatRequest") from error
    request.ClearField("metadata")
    request.ClearField("user")
    if request.extra_json:
        request.extra_json = json_form(request.extra_json)
    if request.response_format.schema_json:
        request.response_format.schema_json = json_form(request.response_format.schema_json)
    for tool in request.tools:
        if tool.parameters_json:
            tool.parameters_json = json_form(tool.parameters_json)
        if tool.format_json:
            tool.format_json = json_form(tool.format_json)
    return CanonicalRequest(request.SerializeToString(deterministic=True))


def good_end(body: bytes) -> FinishReason | None:
    """How a plain answer ended; None if it did not end well, or is a refusal."""
    try:
        response = read_response.read(body)
    except MalformedAnswerError:
        return None
    refuses = any(isinstance(part, Refusal) for part in response.message.parts)
    if refuses or response.finish_reason not in _KEPT_REASONS:
        return None
    return response.finish_reason
