"""OpenAI's HTTP API, as Envoy meets it: requests, and what comes of them."""

import json
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from routing.fakes import model, snapshot

MODELS = snapshot(
    model("m", "a", "b", fallbacks=("n",)),
    model("n", "c"),
    model("org/m/1", "a"),
    model("größe", "a"),
)


def body(name: str = "m", **more: Any) -> HttpBody:
    asked = {"model": name, "messages": [{"role": "user", "content": "hi"}]} | more
    return HttpBody(content_type="application/json", data=json.dumps(asked).encode())


def told(ending: Any) -> Any:
    """The error that REST clients get, with its status."""
    error = json.loads(ending.trailers["x-meshgate-error"])["error"]
    return int(ending.trailers["x-meshgate-http-status"]), error
