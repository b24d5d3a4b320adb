"""Anthropic's messages, among the chat dialects."""

from meshgate.dialects.anthropic_messages import (
    read_request,
    read_response,
    write_request,
    write_response,
)
from meshgate.dialects.anthropic_messages.fields import OWN_NAMES
from meshgate.dialects.chat_dialect import ChatDialect

DIALECT = ChatDialect(
    read_head=read_request.read_head,
    read_request=read_request.read,
    write_request=write_request.write,
    read_response=read_response.read,
    write_response=write_response.write,
    stream_reader=read_response.StreamReader,
    stream_writer=write_response.StreamWriter,
    own_names=OWN_NAMES,
)
