"""What callers of every dialect are told where an upstream answers with an error."""

import importlib
import json
from dataclasses import dataclass
from typing import Any

from meshgate.dialects.answers import UpstreamErrorDetail
from meshgate.provider import failures
from meshgate.routing.failure import Failure
from meshgate.runtime.errors import GatewayError

STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529)
SAID = "sk-secret of account 17 is not fit"
OF_THE_REQUEST = (400, 409, 413, 422)


@dataclass(frozen=True)
class Told:
    """An error as its caller gets it: its status, the word that an SDK goes by, and its body."""

    status: int
    word: str
    body: bytes
    error: GatewayError


def told(caller: str, status: int) -> Told | None:
    """What a caller is told of an upstream's status; None where errors are no bodies."""
    try:
        errors = importlib.import_module(f"meshgate.dialects.{caller}.errors")
    except ModuleNotFoundError:
        return None
    failure = failures.of_answer(status, UpstreamErrorDetail(message=SAID), 7.0)
    error = Failure(
        kind=failure.kind.value,
        provider="main",
        upstream_status=failure.upstream_status,
        retry_after_seconds=failure.retry_after_seconds,
        message=failure.message,
    ).as_error("public")
    body = errors.write_error(error)
    return Told(error.http_status, _word(json.loads(body)["error"]), body, error)


def _word(error: dict[str, Any]) -> str:
    """OpenAI and Anthropic call it a type, Google a status."""
    return str(error.get("status") or error["type"])
