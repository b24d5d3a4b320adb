"""What there is to count in completion requests and answers, as they pass through."""

import msgspec

from meshgate.dialects.counting import CountableText, countable, unreadable
from meshgate.dialects.loose_json import decoded, objects
from meshgate.dialects.openai_api.request_body import decode
from meshgate.dialects.openai_completions.prompt import Prompt, prompts
from meshgate.runtime.errors import InvalidRequestError


class _Request(msgspec.Struct):
    prompt: Prompt = None
    suffix: str | None = None


_REQUEST = msgspec.json.Decoder(_Request)


def countable_text(body: bytes) -> CountableText:
    """What a request says. Prompts that are cut into tokens already count as many as they are."""
    try:
        request = decode(_REQUEST, body)
        given = prompts(request.prompt)
    except InvalidRequestError:
        return unreadable(body)
    said = (item if isinstance(item, str) else len(item) for item in given)
    return countable((*said, request.suffix or ""), 0)


def answer_texts(body: bytes) -> list[str]:
    """What a plain answer says, in all its choices."""
    answer = decoded(body)
    if not isinstance(answer, dict):
        return unreadable(body).texts
    texts = [choice.get("text") for choice in objects(answer.get("choices"))]
    return [text for text in texts if isinstance(text, str) and text]
