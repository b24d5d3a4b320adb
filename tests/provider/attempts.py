"""Makes attempts and collects what comes of them."""

import json
from contextlib import aclosing

from meshgate.dialects import sse
from meshgate.dialects.openai_chat import grammar
from meshgate.provider.attempt import Attempt, StreamDone, StreamHead
from meshgate.provider.failures import AttemptFailedError
from meshgate.provider.phases import PhaseTimeouts
from meshgate.v1 import chat_pb2, gateway_service_pb2

KEY = "sk-upstream-0123456789"


def chat(text="hello there", **members):
    """The body of a chat completion request."""
    messages = [{"role": "user", "content": text}]
    return json.dumps({"model": "public-name", "messages": messages, **members}).encode()


def streamed_chat(text="hello there", **members):
    return chat(text, stream=True, **members)


def embeddings(given="hello", **members):
    return json.dumps({"model": "public-name", "input": given, **members}).encode()


def typed_chat(text="hello there", **members):
    """The body of a request in the gateway's own messages."""
    message = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text=text)])
    request = gateway_service_pb2.ChatRequest(model="public-name", messages=[message], **members)
    return request.SerializeToString()


def attempt(body, dialect="openai_chat", request_id="", output_cap=None, upload=None, **timeouts):
    return Attempt(
        model="upstream-model",
        dialect=dialect,
        body=body,
        timeouts=PhaseTimeouts(**timeouts),
        request_id=request_id,
        output_cap=output_cap,
        upload=upload,
    )


async def failure_of(upstream, wanted):
    """What a plain attempt fails with."""
    try:
        answer = await upstream.answer(wanted)
    except AttemptFailedError as error:
        return error.failure
    raise AssertionError(f"answered: {answer}")


class Streamed:
    """A streamed attempt, to its end."""

    def __init__(self, steps, failure):
        self.head = next((step for step in steps if isinstance(step, StreamHead)), None)
        self.chunks = [step for step in steps if isinstance(step, bytes)]
        self.done = next((step for step in steps if isinstance(step, StreamDone)), None)
        self.failure = failure
        self.body = b"".join(self.chunks)
        self._check_order(steps)

    def _check_order(self, steps):
        kinds = [type(step) for step in steps]
        assert kinds == (
            [StreamHead] * (self.head is not None)
            + [bytes] * len(self.chunks)
            + [StreamDone] * (self.done is not None)
        )
        assert (self.done is None) == (self.failure is not None)

    def text(self):
        """The content, of a stream that is whole and well-formed."""
        grammar.check(self.body)
        chunks = [json.loads(event.data) for event in sse.EventReader().feed(self.body)[:-1]]
        choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
        return "".join(choice["delta"].get("content") or "" for choice in choices)


async def streamed(upstream, wanted):
    steps, failure = [], None
    try:
        async with aclosing(upstream.stream(wanted)) as stream:
            async for step in stream:
                steps.append(step)  # noqa: PERF401 - what came before a failure counts
    except AttemptFailedError as error:
        failure = error.failure
    return Streamed(steps, failure)
