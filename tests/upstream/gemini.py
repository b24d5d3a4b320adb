"""Gemini's API as Google writes it: generated content, plain and streamed, embeddings, token counts.

Written after the API reference (https://ai.google.dev/api/generate-content) and recorded answers:
chunks end with CRLF CRLF, the model is that of the URL, ids are short, usage comes with every chunk,
and a call stands in one part, signed where the model thinks.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import msgspec

from upstream.behaviours import Behaviour, Endless, Refuse, ToolCall, Usage, prompt
from upstream.chat import count_tokens, pieces
from upstream.embeddings import DIMENSIONS, vector
from upstream.records import Request
from upstream.refusals import ErrorForm

Body = dict[str, Any]

_PATH = re.compile(r"/v1beta/models/(?P<model>[^/?]+):(?P<method>[A-Za-z]+)(?:\?alt=(?P<alt>.*))?")
_REASONS = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}
_STREAM = "streamGenerateContent"
MADE_BY_GEMINI = b"\x00what Gemini thought"
"""How the signatures begin that this upstream takes for its own."""
UNSIGNED = "skip_thought_signature_validator"
NO_KEY = Refuse(
    status=403,
    message="Method doesn't allow unregistered callers. Please use API Key to call this API.",
)
WRONG_KEY = Refuse(
    status=400,
    message="API key not valid. Please pass a valid API key.",
    code="API_KEY_INVALID",
)


def is_gemini(record: Request) -> bool:
    return record.path.startswith("/v1beta/")


def is_streamed(record: Request) -> bool:
    return _method_of(record) == _STREAM


def objection(record: Request, api_key: str | None) -> Refuse | None:
    """What Google itself would refuse."""
    key = record.header("x-goog-api-key")
    if api_key is not None and key != api_key:
        return WRONG_KEY if key else NO_KEY
    if _PATH.fullmatch(record.path) is None:
        return Refuse(status=404, message="Not found.")
    body = record.body
    if not isinstance(body, dict):
        return Refuse(status=400, message="Invalid JSON payload received.")
    unknown = {"model", "stream", "messages"} & body.keys()
    if unknown:
        name = min(unknown)
        message = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
        return Refuse(status=400, message=message)
    needed = "requests" if _method_of(record) == "batchEmbedContents" else "contents"
    if not body.get(needed) and _method_of(record) != "countTokens":
        message = f"* GenerateContentRequest.{needed}: {needed} is not specified"
        return Refuse(status=400, message=message)
    return _objection_to_signatures(record.path, body.get("contents") or [])


def _objection_to_signatures(path: str, contents: list[Body]) -> Refuse | None:
    """Models since Gemini 3 want the first call of each step of the current turn signed.

    https://ai.google.dev/gemini-api/docs/thought-signatures
    """
    steps: list[list[Body]] = [[]]
    for content in contents:
        parts = content.get("parts") or []
        if not all(_is_own(part.get("thoughtSignature", UNSIGNED)) for part in parts):
            return Refuse(status=400, message="Thought signature is not valid")
        if content.get("role") == "model":
            steps[-1] += [part for part in parts if "functionCall" in part]
        elif any("functionResponse" in part for part in parts):
            steps.append([])
        else:
            steps = [[]]  # another turn
    if "gemini-3" in path and any(it and "thoughtSignature" not in it[0] for it in steps):
        message = "Function call is missing a thought_signature in functionCall parts."
        return Refuse(status=400, message=message)
    return None


def _is_own(signature: str) -> bool:
    if signature == UNSIGNED:
        return True
    try:
        content = base64.b64decode(signature, altchars=b"-_" if {*"-_"} & {*signature} else None)
    except binascii.Error:
        return False
    return content.startswith(MADE_BY_GEMINI)


def plain(record: Request, behaviour: Behaviour, text: str) -> bytes:
    """A plain answer, spread over lines as Google does."""
    method = _method_of(record)
    if method == "countTokens":
        answer: Body = {"totalTokens": count_tokens(prompt(record.body))}
    elif method == "batchEmbedContents":
        answer = {"embeddings": [_embedding(each) for each in record.body["requests"]]}
    else:
        said = _Said(record, behaviour, text)
        parts = [part for chunk in said.chunks(1) for part in chunk if part != {"text": ""}]
        answer = said.answer(parts, ends=True)
    return msgspec.json.format(msgspec.json.encode(answer), indent=2)


def payloads(record: Request, behaviour: Behaviour, text: str) -> Iterator[bytes]:
    """The data of a stream's events, in order."""
    said = _Said(record, behaviour, text)
    if isinstance(behaviour.fault, Endless):
        for number in count():
            yield said.chunk([{"text": f"{text} {number} "}], ends=False)
    chunks = list(said.chunks(behaviour.chunks))
    for number, parts in enumerate(chunks):
        yield said.chunk(parts, ends=number == len(chunks) - 1)


def _error_body(refuse: Refuse) -> bytes:
    """Google's error object, google.rpc.Status in JSON."""
    kind = "type.googleapis.com/google.rpc."
    details: list[dict[str, Any]] = []
    if refuse.code is not None:
        info = {"reason": refuse.code, "domain": "googleapis.com"}
        details.append({"@type": f"{kind}ErrorInfo", **info})
    if refuse.retry_after is not None:
        details.append({"@type": f"{kind}RetryInfo", "retryDelay": f"{refuse.retry_after}s"})
    error: dict[str, Any] = {
        "code": refuse.status,
        "message": refuse.message,
        "status": refuse.error_type or _GOOGLE_STATUSES.get(refuse.status, "INTERNAL"),
    }
    return msgspec.json.encode({"error": error | ({"details": details} if details else {})})


_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def _error_event(message: str, error_type: str, code: str | None) -> bytes:
    del error_type  # OpenAI's
    status = int(code) if (code or "").isdigit() else 503
    return _error_body(Refuse(status=status, message=message))


ERRORS = ErrorForm(
    body=_error_body,
    event=_error_event,
    id_header="x-request-id",
    headers=[],
    ends_with_done=False,
    media_type="application/json; charset=UTF-8",
    has_retry_after=False,
)


class _Said:
    """What is said to one request."""

    def __init__(self, record: Request, behaviour: Behaviour, text: str) -> None:
        found = _PATH.fullmatch(record.path)
        assert found is not None
        self._record = record
        self._behaviour = behaviour
        self._model = found["model"]
        calls = behaviour.tool_calls
        self._calls = _wanted_calls(record.body) if calls is None else calls
        config = record.body.get("generationConfig") or {}
        self._text, self._reason = _limited(text, config.get("maxOutputTokens"))

    def chunks(self, number: int) -> Iterator[list[Body]]:
        """The parts of each chunk."""
        thought, signature = self._behaviour.thought, self._behaviour.signature
        signed = {"thoughtSignature": signature} if signature else {}
        if thought:
            yield [{"text": thought, "thought": True}]
        if self._calls:
            for at, call in enumerate(self._calls):
                yield [{"functionCall": _call(call)} | (signed if at == 0 else {})]
            return
        for piece in pieces(self._text, number):
            yield [{"text": piece}]
        if signature:
            yield [{"text": ""} | signed]

    def answer(self, parts: list[Body], *, ends: bool) -> Body:
        candidate: Body = {"content": {"parts": parts, "role": "model"}}
        if ends:
            reason = self._behaviour.finish_reason
            candidate["finishReason"] = _REASONS.get(reason or "", reason) or self._reason
        candidate["index"] = 0
        members: Body = {"candidates": [candidate]}
        if self._behaviour.usage_sent != "never":
            members["usageMetadata"] = self._usage(ends=ends)
        return members | {
            "modelVersion": self._model,
            "responseId": f"fake{self._record.number:018d}",
        }

    def chunk(self, parts: list[Body], *, ends: bool) -> bytes:
        return msgspec.json.encode(self.answer(parts, ends=ends))

    def _usage(self, *, ends: bool) -> Body:
        given = self._behaviour.usage
        usage = given or Usage(count_tokens(prompt(self._record.body)), count_tokens(self._text))
        members: Body = {"promptTokenCount": usage.input_tokens}
        said = usage.output_tokens - usage.reasoning_tokens
        if ends:
            members["candidatesTokenCount"] = said
        if usage.cached_input_tokens:
            members["cachedContentTokenCount"] = usage.cached_input_tokens
        whole = usage.input_tokens + (usage.output_tokens if ends else 0)
        members["totalTokenCount"] = whole
        members["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": usage.input_tokens}]
        if usage.reasoning_tokens:
            members["thoughtsTokenCount"] = usage.reasoning_tokens
        return members


def _method_of(record: Request) -> str:
    found = _PATH.fullmatch(record.path)
    return found["method"] if found else ""


def _limited(text: str, limit: int | None) -> tuple[str, str]:
    if limit is None or count_tokens(text) <= limit:
        return text, "STOP"
    return "".join(re.findall(r"\S+\s*", text)[:limit]), "MAX_TOKENS"


def _wanted_calls(body: Body) -> tuple[ToolCall, ...]:
    """Calls a function if the request forces it."""
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if calling.get("mode") != "ANY":
        return ()
    declared = [it["name"] for tool in body["tools"] for it in tool["functionDeclarations"]]
    names = calling.get("allowedFunctionNames") or declared[:1]
    return tuple(ToolCall(name, '{"city": "Paris"}') for name in names)


def _call(call: ToolCall) -> Body:
    return {"name": call.name, "args": msgspec.json.decode(call.arguments)}


def _embedding(request: Body) -> Body:
    text = "".join(part["text"] for part in request["content"]["parts"])
    return {"values": vector(text, request.get("outputDimensionality") or DIMENSIONS)}
