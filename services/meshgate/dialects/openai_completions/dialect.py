"""OpenAI's older completions, as their callers speak them, and as what they were told is read."""

from meshgate.dialects.chat_dialect import RetoldDialect
from meshgate.dialects.openai_completions import read_request, read_response, write_response

DIALECT = RetoldDialect(
    read_head=read_request.read_head,
    read_request=read_request.read,
    write_response=write_response.write,
    read_response=read_response.read,
    stream_reader=read_response.StreamReader,
    stream_writer=write_response.StreamWriter,
)
