"""The typed messages of GatewayService, among the chat dialects."""

from meshgate.dialects.chat_dialect import ChatDialect
from meshgate.dialects.meshgate_chat import (
    read_request,
    read_response,
    write_request,
    write_response,
)

DIALECT = ChatDialect(
    read_head=read_request.read_head,
    read_request=read_request.read,
    write_request=write_request.write,
    read_response=read_response.read,
    write_response=write_response.write,
    stream_reader=read_response.StreamReader,
    stream_writer=write_response.StreamWriter,
    own_names={
        "shows_reasoning": "show_reasoning",
        "response_format.type": "response_format.kind",
        "response_format.json_schema": "response_format",
        "response_format.json_schema.schema": "response_format.schema_json",
    },
)
