"""The usage objects of OpenAI's media APIs, which have words of their own.

Facts: openai-python 2.x, `types/images_response.py`, `types/audio/transcription.py`,
`transcription_text_done_event.py`; openai-openapi, `SpeechAudioDoneEvent`.
"""

import math
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from meshgate.dialects.counts import Count, read_counts
from meshgate.dialects.neutral import Usage

Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=1e9)]


class _Details(Struct, gc=False):
    text_tokens: Count | None = None
    image_tokens: Count | None = None
    audio_tokens: Count | None = None


class _Usage(Struct, gc=False):
    input_tokens: Count | None = None
    output_tokens: Count = 0
    input_tokens_details: _Details | None = None  # of pictures
    output_tokens_details: _Details | None = None
    input_token_details: _Details | None = None  # of transcriptions
    seconds: Seconds | None = None


_DECODER = msgspec.json.Decoder(_Usage)
_NOTHING = _Details()


def read_images(raw: Raw) -> Usage | None:
    """What pictures took, without their number; None where nothing is said that makes sense.

    What was written and is not said to be text is pictures.
    """
    usage = read_counts(_DECODER, raw)
    if usage is None or usage.input_tokens is None:
        return None
    read = usage.input_tokens_details or _NOTHING
    written = usage.output_tokens_details or _NOTHING
    pictures = written.image_tokens
    return Usage(
        input_tokens=usage.input_tokens,
        input_image_tokens=read.image_tokens or 0,
        output_tokens=usage.output_tokens,
        output_image_tokens=usage.output_tokens if pictures is None else pictures,
    )


def read_transcription(raw: Raw) -> Usage | None:
    """What a transcription took, in tokens or in seconds; None where nothing is said."""
    usage = read_counts(_DECODER, raw)
    if usage is None:
        return None
    if usage.input_tokens is not None:
        read = usage.input_token_details or usage.input_tokens_details or _NOTHING
        return Usage(
            input_tokens=usage.input_tokens,
            input_audio_tokens=read.audio_tokens or 0,
            output_tokens=usage.output_tokens,
        )
    return None if usage.seconds is None else of_seconds(usage.seconds)


def read_speech(raw: Raw) -> Usage | None:
    """What speech took: all that was written is sound."""
    usage = read_counts(_DECODER, raw)
    if usage is None or usage.input_tokens is None:
        return None
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        output_audio_tokens=usage.output_tokens,
    )


def of_seconds(seconds: float) -> Usage:
    """So much sound was heard; a part of a second counts as one."""
    return Usage(input_audio_seconds=math.ceil(seconds))
