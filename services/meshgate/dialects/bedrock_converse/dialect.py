"""Bedrock's Converse, among the chat dialects."""

from meshgate.dialects.bedrock_converse import read_response, write_request
from meshgate.dialects.chat_dialect import UpstreamDialect

DIALECT = UpstreamDialect(
    write_request=write_request.write,
    read_response=read_response.read,
    stream_reader=read_response.StreamReader,
)
