"""Reads the heads of forms that ask for what was said."""

from meshgate.dialects import uploaded_form
from meshgate.dialects.answers import RequestHead
from meshgate.dialects.neutral import Usage
from meshgate.dialects.openai_api.request_body import missing

# Files say nothing of how long they are that is quick to find out: 128 kbit/s is common.
_BYTES_PER_SECOND = 16_000
_TOKENS_PER_SECOND = 10  # as OpenAI counts sound


def read_head(body: bytes) -> RequestHead:
    """Read what routing needs. How long the sound is, is estimated from its size, to be held.

    Raises:
        InvalidRequestError: The form is not as it must be.
    """
    form = uploaded_form.read(body)
    if not form.files:
        raise missing("file")
    model = form.model
    seconds = -(-form.files_bytes // _BYTES_PER_SECOND)
    tokens = seconds * _TOKENS_PER_SECOND
    return RequestHead(
        model,
        stream=uploaded_form.flag(form.values, "stream"),
        include_usage=True,  # it is always told
        max_output_tokens=0,  # the API knows no bound
        asked=Usage(input_audio_seconds=seconds, input_tokens=tokens, input_audio_tokens=tokens),
    )
