"""Where upstreams with OpenAI's API answer what is about pictures, sounds, judgements and rankings.

Cohere's rerank has the same path after the version, and Jina's, Voyage's and vLLM's have it too.
"""

from meshgate.dialects.translation import translator
from meshgate.provider.api import Endpoint

_PATHS = {
    "openai_images": "images/generations",
    "openai_image_edits": "images/edits",
    "openai_transcriptions": "audio/transcriptions",
    "openai_translations": "audio/translations",
    "openai_speech": "audio/speech",
    "openai_moderations": "moderations",
    "rerank": "rerank",
}
_MEDIA_TYPES = {
    "openai_transcriptions": ("text/",),
    "openai_translations": ("text/",),
    "openai_speech": ("audio/", "application/octet-stream"),
}


def media_endpoints(base_url: str) -> dict[str, Endpoint]:
    """By dialect; `base_url` is with the API's version."""
    return {
        dialect: Endpoint(
            f"{base_url}/{path}",
            translator(dialect, dialect),
            media_types=_MEDIA_TYPES.get(dialect, ()),
        )
        for dialect, path in _PATHS.items()
    }
