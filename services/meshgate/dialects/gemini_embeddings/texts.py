"""What there is to count in batchEmbedContents requests."""

from meshgate.dialects.counting import Countable, CountableText, countable, unreadable
from meshgate.dialects.gemini_generate.texts import content_countables
from meshgate.dialects.loose_json import decoded, objects


def countable_text(body: bytes) -> CountableText:
    """What a request says."""
    request = decoded(body)
    if not isinstance(request, dict):
        return unreadable(body)
    found: list[Countable] = []
    for each in objects(request.get("requests")):
        found += content_countables(each.get("content"))
    return countable(found, 0)


def answer_texts(body: bytes) -> list[str]:
    """Nothing: vectors are no output that is counted."""
    del body
    return []
