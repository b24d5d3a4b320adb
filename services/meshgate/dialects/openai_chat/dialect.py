"""OpenAI's chat completions, among the chat dialects."""

from functools import partial

from meshgate.dialects.chat_dialect import ChatDialect
from meshgate.dialects.openai_chat import read_request, read_response, write_request, write_response
from meshgate.dialects.openai_chat.fields import OWN_NAMES
from meshgate.dialects.openai_chat.variant import Variant


def dialect(variant: Variant) -> ChatDialect:
    """The dialect as an upstream of this variant wants it."""
    return ChatDialect(
        read_head=read_request.read_head,
        read_request=read_request.read,
        write_request=partial(write_request.write, variant=variant),
        read_response=read_response.read,
        write_response=write_response.write,
        stream_reader=read_response.StreamReader,
        stream_writer=write_response.StreamWriter,
        own_names=OWN_NAMES,
    )


DIALECT = dialect(Variant())
