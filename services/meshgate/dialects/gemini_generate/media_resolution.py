"""How closely pictures are looked at: models before the third generation are told once for all of them.

https://ai.google.dev/gemini-api/docs/media-resolution
"""

from collections.abc import Iterator, Sequence
from typing import Any

from meshgate.dialects.openai_api.request_body import unsupported

_MEDIA = ("inlineData", "fileData")


def taken_out(contents: Sequence[dict[str, Any]]) -> str | None:
    """Take it out of all parts, and return it as it holds for the whole request; None for the usual.

    Raises:
        UnsupportedError: It is not the same for all that there is to look at.
    """
    levels = {_level(part) for part in _media(contents)}
    if len(levels) > 1:
        raise unsupported("image.detail")
    return levels.pop() if levels else None


def _media(contents: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for content in contents:
        for part in content["parts"]:
            if any(name in part for name in _MEDIA):
                yield part


def _level(part: dict[str, Any]) -> str | None:
    resolution = part.pop("mediaResolution", None)
    return None if resolution is None else resolution["level"]
