"""Pictures, sounds, judgements and rankings, as OpenAI and Cohere write them."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from upstream.behaviours import Behaviour
from upstream.chat import CREATED, count_tokens, pieces

Body = dict[str, Any]

PICTURE = base64.b64encode(b"\x89PNG no picture at all").decode()
SOUND_BYTES = 4096
"""Of each piece of a spoken text."""

NEEDS = {
    "/v1/images/generations": "prompt",
    "/v1/images/edits": "files",
    "/v1/audio/transcriptions": "files",
    "/v1/audio/translations": "files",
    "/v1/audio/speech": "input",
    "/v1/moderations": "input",
    "/v1/rerank": "documents",
}
"""What each request must hold besides the model."""


@dataclass(frozen=True)
class Answer:
    """An answer: one body, or events, or sound."""

    media_type: str = "application/json"
    body: bytes = b""
    events: tuple[bytes, ...] = ()
    sound: tuple[bytes, ...] = ()


def answer(path: str, body: Body, behaviour: Behaviour) -> Answer:
    """What is said to a request."""
    return _ANSWERS[path](body, behaviour)


def _images(body: Body, behaviour: Behaviour) -> Answer:
    count = int(body.get("n") or 1)
    picture: Body = {"b64_json": PICTURE}
    if str(body["model"]).startswith("dall-e"):
        made: Body = {"data": [picture | {"revised_prompt": behaviour.text}] * count}
    else:
        made = {"data": [picture] * count, "quality": "low", "size": "1024x1024"}
        made["usage"] = _image_usage(count)
    if body.get("stream") in {True, "true"}:
        return Answer("text/event-stream", events=tuple(_image_events(count)))
    return _json({"created": CREATED, **made})


def _image_usage(count: int) -> Body:
    return {
        "input_tokens": 50,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
        "output_tokens": 272 * count,
        "total_tokens": 50 + 272 * count,
    }


def _image_events(count: int) -> Iterator[bytes]:
    frame: Body = {"b64_json": PICTURE, "quality": "low", "size": "1024x1024"}
    for index in range(count):
        partial = {"type": "image_generation.partial_image", "partial_image_index": index}
        yield msgspec.json.encode(partial | frame)
        whole = {"type": "image_generation.completed", "usage": _image_usage(1)}
        yield msgspec.json.encode(whole | frame)


def _transcription(body: Body, behaviour: Behaviour) -> Answer:
    text, model = behaviour.text, str(body["model"])
    counts_tokens = model.startswith("gpt")
    usage: Body = {"type": "duration", "seconds": 90.4}
    if counts_tokens:
        details = {"audio_tokens": 900, "text_tokens": 20}
        usage = {"type": "tokens", "input_tokens": 920, "input_token_details": details}
        usage |= {"output_tokens": 9, "total_tokens": 929}
    if body.get("stream") == "true":
        return Answer("text/event-stream", events=tuple(_text_events(text, usage, behaviour)))
    match body.get("response_format", "json"):
        case "text":
            return Answer("text/plain; charset=utf-8", text.encode() + b"\n")
        case "srt":
            cue = f"1\n00:00:00,000 --> 00:01:30,400\n{text}\n\n"
            return Answer("text/plain; charset=utf-8", cue.encode())
        case "verbose_json":
            segments = [{"id": 0, "start": 0.0, "end": 90.4, "text": text}]
            return _json(
                {"task": "transcribe", "language": "english", "duration": 90.4, "text": text}
                | {"segments": segments, "usage": usage}
            )
        case _:
            return _json({"text": text, "usage": usage})


def _text_events(text: str, usage: Body, behaviour: Behaviour) -> Iterator[bytes]:
    for piece in pieces(text, behaviour.chunks):
        yield msgspec.json.encode({"type": "transcript.text.delta", "delta": piece})
    yield msgspec.json.encode({"type": "transcript.text.done", "text": text, "usage": usage})


def _speech(body: Body, behaviour: Behaviour) -> Answer:
    sound = tuple(bytes([65 + number % 26]) * SOUND_BYTES for number in range(behaviour.chunks))
    if body.get("stream_format") == "sse":
        tokens = count_tokens(body["input"])
        usage = {"input_tokens": tokens, "output_tokens": 77, "total_tokens": tokens + 77}
        deltas = [
            {"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()}
            for piece in sound
        ]
        done = {"type": "speech.audio.done", "usage": usage}
        return Answer("text/event-stream", events=tuple(map(msgspec.json.encode, [*deltas, done])))
    return Answer(f"audio/{body.get('response_format') or 'mpeg'}", sound=sound)


def _moderation(body: Body, _behaviour: Behaviour) -> Answer:
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    results = [
        {"flagged": "harm" in str(item), "categories": {"violence": False}, "category_scores": {}}
        for item in inputs
    ]
    return _json({"id": "modr-fake", "model": body["model"], "results": results})


def _ranking(body: Body, behaviour: Behaviour) -> Answer:
    documents = body["documents"]
    scored = [
        {"index": index, "relevance_score": 1 / (1 + index)} for index in range(len(documents))
    ]
    results = scored[: body.get("top_n") or len(scored)]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    if behaviour.usage_sent == "never":
        return _json({"id": "rank-fake", "results": results})
    return _json({"id": "rank-fake", "results": results, "meta": meta})


def _json(answer: Body) -> Answer:
    return Answer(body=msgspec.json.encode(answer))


_ANSWERS: dict[str, Callable[[Body, Behaviour], Answer]] = {
    "/v1/images/generations": _images,
    "/v1/images/edits": _images,
    "/v1/audio/transcriptions": _transcription,
    "/v1/audio/translations": _transcription,
    "/v1/audio/speech": _speech,
    "/v1/moderations": _moderation,
    "/v1/rerank": _ranking,
}
