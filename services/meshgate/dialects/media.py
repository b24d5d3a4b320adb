"""The media dialects: one entry for each is all that translation, metering and inspection need."""

from meshgate.dialects import uploaded_form
from meshgate.dialects.media_dialect import MediaDialect, as_it_is, cut_nothing
from meshgate.dialects.media_stream import UninspectedStream
from meshgate.dialects.openai_images import passthrough as images
from meshgate.dialects.openai_images import read_request as images_request
from meshgate.dialects.openai_images import segments as images_segments
from meshgate.dialects.openai_images import texts as images_texts
from meshgate.dialects.openai_moderations import passthrough as moderations
from meshgate.dialects.openai_moderations import read_request as moderations_request
from meshgate.dialects.openai_speech import passthrough as speech
from meshgate.dialects.openai_speech import read_request as speech_request
from meshgate.dialects.openai_transcriptions import passthrough as transcriptions
from meshgate.dialects.openai_transcriptions import read_request as transcriptions_request
from meshgate.dialects.openai_transcriptions import segments as transcriptions_segments
from meshgate.dialects.openai_transcriptions.tally import TranscriptTally
from meshgate.dialects.rerank import passthrough as rerank
from meshgate.dialects.rerank import read_request as rerank_request

_IMAGES = MediaDialect(
    read_head=images_request.read_head,
    glance=images.glance,
    countable_text=images_texts.countable_text,
    cut_request=images_segments.cut_request,
    cut_answer=images_segments.cut_answer,
    blocked_answer=images_segments.blocked_answer,
    inspected=UninspectedStream,
    stream=images.stream,
)
_IMAGE_EDITS = MediaDialect(
    read_head=images_request.read_form_head,
    retarget=uploaded_form.retarget,
    glance=images.glance,
    countable_text=uploaded_form.countable_text,
    cut_request=uploaded_form.cut_request,
    cut_answer=images_segments.cut_answer,
    blocked_answer=images_segments.blocked_answer,
    inspected=UninspectedStream,
    stream=images.stream,
)
_TRANSCRIPTIONS = MediaDialect(
    read_head=transcriptions_request.read_head,
    retarget=uploaded_form.retarget,
    glance=transcriptions.glance,
    countable_text=uploaded_form.countable_text,
    answer_texts=transcriptions_segments.answer_texts,
    cut_request=uploaded_form.cut_request,
    cut_answer=transcriptions_segments.cut_answer,
    blocked_answer=transcriptions_segments.blocked_answer,
    stream=transcriptions.stream,
    inspected=transcriptions_segments.TranscriptStream,
    tally=TranscriptTally,
)
_SPEECH = MediaDialect(
    read_head=speech_request.read_head,
    glance=speech.glance,
    countable_text=speech_request.countable_text,
    cut_answer=cut_nothing,
    blocked_answer=as_it_is,
    inspected=UninspectedStream,
    stream=speech.stream,
)
_MODERATIONS = MediaDialect(
    read_head=moderations_request.read_head,
    glance=moderations.glance,
    countable_text=moderations_request.countable_text,
    cut_answer=cut_nothing,
    blocked_answer=as_it_is,
    inspected=UninspectedStream,
)
_RERANK = MediaDialect(
    read_head=rerank_request.read_head,
    glance=rerank.glance,
    countable_text=rerank_request.countable_text,
    cut_answer=cut_nothing,  # documents come back as they were asked about
    blocked_answer=as_it_is,
    inspected=UninspectedStream,
)

MEDIA: dict[str, MediaDialect] = {
    "openai_images": _IMAGES,
    "openai_image_edits": _IMAGE_EDITS,
    "openai_transcriptions": _TRANSCRIPTIONS,
    "openai_translations": _TRANSCRIPTIONS,
    "openai_speech": _SPEECH,
    "openai_moderations": _MODERATIONS,
    "rerank": _RERANK,
}

UPLOADS = frozenset({"openai_image_edits", "openai_transcriptions", "openai_translations"})
"""Those whose requests bring files."""
