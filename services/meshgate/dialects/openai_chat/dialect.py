"""OpenAI's chat completions, among the chat dialects."""

from functools import partial

from meshgate.dialects.chat_dialect import ChatDialect
from meshgate.dialects.openai_api.output_bound import OutputBound
from meshgate.dialects.openai_chat import read_request, read_response, write_request, write_response


def dialect(bound: OutputBound) -> ChatDialect:
    """The dialect as an upstream wants it that is told by `bound` how much it may write."""
    return ChatDialect(
        read_head=read_request.read_head,
        read_request=read_request.read,
        write_request=partial(write_request.write, bound=bound),
        read_response=read_response.read,
        write_response=write_response.write,
        stream_reader=read_response.StreamReader,
        stream_writer=write_response.StreamWriter,
    )


DIALECT = dialect(OutputBound.MAX_TOKENS)
