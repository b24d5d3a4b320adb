"""Cohere's chat, among the chat dialects."""

from meshgate.dialects.chat_dialect import UpstreamDialect
from meshgate.dialects.cohere_chat import read_response, write_request

DIALECT = UpstreamDialect(
    write_request=write_request.write,
    read_response=read_response.read,
    stream_reader=read_response.StreamReader,
)
