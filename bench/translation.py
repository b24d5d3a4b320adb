"""What it costs to stand between two dialects: a request, a plain answer, a chunk of a stream.

    .venv/bin/python bench/translation.py

Prints CPU microseconds for each caller (down) and upstream (across), each the best of several rounds: the
machine's noise only ever adds. Where both speak the same, bytes pass through. The request holds a system
prompt, four turns, two tools and a picture by address, 4 KB; the answer 120 words, one event each.
"""

import time
from collections.abc import Callable

from meshgate.dialects.gemini_generate import named_body
from meshgate.dialects.neutral import (
    ChatRequest,
    ChatResponse,
    Finished,
    FinishReason,
    Image,
    Message,
    Role,
    Started,
    Text,
    TextDelta,
    Tool,
    Usage,
)
from meshgate.dialects.translation import CHAT_DIALECTS, translator

ROUNDS = 7
REQUESTS = 200
WORDS = 120
CREATED = 1_790_000_000
USAGE = Usage(input_tokens=1000, cached_input_tokens=200, output_tokens=WORDS)
SCHEMA = b'{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'
REQUEST = ChatRequest(
    model="model",
    messages=(
        Message(role=Role.SYSTEM, parts=(Text("Be brief. " * 100),)),
        Message(
            role=Role.USER, parts=(Text("What is this? " * 50), Image(uri="https://a.b/c.png"))
        ),
        Message(role=Role.ASSISTANT, parts=(Text("A picture of a cat. " * 40),)),
        Message(role=Role.USER, parts=(Text("And the weather there? " * 30),)),
    ),
    tools=tuple(
        Tool(name=name, description="Looks it up.", parameters_json=SCHEMA)
        for name in ("weather", "time")
    ),
    max_output_tokens=500,
    temperature=0.5,
)
RESPONSE = ChatResponse(
    id="answer-1",
    served_model="model",
    message=Message(role=Role.ASSISTANT, parts=(Text("word " * WORDS),)),
    finish_reason=FinishReason.STOP,
    usage=USAGE,
)
EVENTS = (
    Started(id="answer-1", served_model="model"),
    *(TextDelta("word ") for _ in range(WORDS)),
    Finished(reason=FinishReason.STOP, usage=USAGE),
)


def main() -> None:
    """Print the three tables."""
    _print("a request", _request)
    _print("a plain answer", _answer)
    _print("a chunk of a stream", _chunk)


def _print(what: str, cost: Callable[[str, str], float]) -> None:
    upstreams = [name for name in CHAT_DIALECTS if name != "meshgate_chat"]
    print(f"\n{what}, µs")
    print(f"{'':20}" + "".join(f"{name:>20}" for name in upstreams))
    for caller in CHAT_DIALECTS:
        costs = [cost(caller, upstream) for upstream in upstreams]
        print(f"{caller:20}" + "".join(f"{microseconds:20.1f}" for microseconds in costs))


def _request(caller: str, upstream: str) -> float:
    body = CHAT_DIALECTS[caller].write_request(REQUEST, "model", stream=True)
    if caller == "gemini_generate":
        body = named_body.named(body, "models/model")  # as the edge does: it stands in the URL
    between = translator(caller, upstream)
    return _best(lambda: between.request(body, "other", stream=True), REQUESTS)


def _answer(caller: str, upstream: str) -> float:
    body = CHAT_DIALECTS[upstream].write_response(RESPONSE, created=CREATED)
    between = translator(caller, upstream)
    return _best(lambda: between.answer(body, created=CREATED), REQUESTS)


def _chunk(caller: str, upstream: str) -> float:
    writer = CHAT_DIALECTS[upstream].stream_writer(created=CREATED, include_usage=True)
    chunks = [chunk for event in EVENTS if (chunk := writer.write([event]))]
    between = translator(caller, upstream)

    def stream() -> None:
        answer = between.stream(created=CREATED, include_usage=True)
        for chunk in chunks:
            answer.feed(chunk)
        answer.close()

    return _best(stream, REQUESTS // 10) / len(chunks)


def _best(work: Callable[[], object], times: int) -> float:
    """The microseconds of CPU that one call takes, in the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(times):
            work()
        best = min(best, time.process_time() - begun)
    return best / times * 1e6


if __name__ == "__main__":
    main()
