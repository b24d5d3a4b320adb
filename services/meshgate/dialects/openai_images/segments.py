"""The texts of requests for pictures. Answers are looked at only for what they say in words."""

import msgspec

from meshgate.dialects.answers import UNREADABLE, MalformedAnswerError
from meshgate.dialects.json_text import JsonCut, in_items, in_members
from meshgate.dialects.openai_api.request_body import decode

_REQUEST = msgspec.json.Decoder(dict[str, object])
_ANSWER = msgspec.json.Decoder(dict[str, object])
# Words of the API's own, and numbers.
_WORDS = frozenset(
    {"model", "n", "quality", "size", "stream", "background", "moderation", "output_format"}
    | {"response_format", "style", "partial_images", "output_compression"}
)
_PICTURES = frozenset({"b64_json", "url"})


def cut_request(body: bytes) -> JsonCut:
    """Take the texts out of a request.

    Raises:
        InvalidRequestError: The body is malformed.
    """
    return JsonCut(body, in_members(decode(_REQUEST, body), (), _WORDS, {}))


def cut_answer(body: bytes) -> JsonCut:
    """Take out what an answer says of each picture, as the prompt that was made of the caller's.

    Raises:
        MalformedAnswerError: It cannot be read.
    """
    data = _data(body)
    return JsonCut(
        body,
        in_items(data, ("data",), lambda item, path: in_members(item, path, _PICTURES, {})),
    )


def blocked_answer(body: bytes) -> bytes:
    """The same answer without pictures.

    Raises:
        MalformedAnswerError: It cannot be read.
    """
    answer = _decoded(body)
    return msgspec.json.encode(answer | {"data": []})


def _data(body: bytes) -> object:
    return _decoded(body).get("data")


def _decoded(body: bytes) -> dict[str, object]:
    try:
        return _ANSWER.decode(body)
    except UNREADABLE as error:
        raise MalformedAnswerError("the upstream's answer holds no pictures") from error
