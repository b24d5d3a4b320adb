"""batchEmbedContents on its way through, and embedContent, which is a batch of one."""

import msgspec
from msgspec import Raw

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.gemini_embeddings.read_response import glance
from meshgate.dialects.gemini_generate.read_request import PREFIX
from meshgate.dialects.openai_api.request_body import decode

__all__ = ["as_batch", "as_single", "glance", "retarget"]

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_REQUESTS = msgspec.json.Decoder(list[dict[str, Raw]])
_EMBEDDINGS = msgspec.json.Decoder(list[Raw])


def retarget(body: bytes, model: str) -> bytes:
    """Name another model in each of the requests; all other members keep their bytes.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    members = decode(_MEMBERS, body)
    members.pop("model", None)
    name = Raw(msgspec.json.encode(f"{PREFIX}{model.removeprefix(PREFIX)}"))
    requests = decode(_REQUESTS, bytes(members.get("requests", b"[]")))
    written = [{"model": name, **_without_model(request)} for request in requests]
    return msgspec.json.encode(members | {"requests": written})


def as_batch(body: bytes) -> bytes:
    """A request of embedContent as one of batchEmbedContents.

    Raises:
        InvalidRequestError: The body is not a JSON object.
    """
    members = decode(_MEMBERS, body)
    return msgspec.json.encode({"requests": [members]})


def as_single(answer: bytes) -> bytes:
    """An answer of batchEmbedContents to one request as one of embedContent.

    Raises:
        MalformedAnswerError: It has not just one embedding.
    """
    try:
        members = _MEMBERS.decode(answer)
        [embedding] = _EMBEDDINGS.decode(members.pop("embeddings", b"[]"))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise MalformedAnswerError("the answer has not just one embedding") from error
    return msgspec.json.encode({"embedding": embedding, **members})


def _without_model(request: dict[str, Raw]) -> dict[str, Raw]:
    return {name: value for name, value in request.items() if name != "model"}
