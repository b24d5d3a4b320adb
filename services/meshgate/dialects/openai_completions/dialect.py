"""OpenAI's older completions, as their callers speak them."""

from meshgate.dialects.chat_dialect import CallerDialect
from meshgate.dialects.openai_completions import read_request, write_response

DIALECT = CallerDialect(
    read_head=read_request.read_head,
    read_request=read_request.read,
    write_response=write_response.write,
    stream_writer=write_response.StreamWriter,
)
