import json

import pytest
from provider.attempts import (
    attempt,
    chat,
    embeddings,
    failure_of,
    streamed,
    streamed_chat,
    typed_chat,
)

from meshgate.config.snapshot import DemoProvider
from meshgate.dialects.gemini_generate import grammar as gemini_grammar
from meshgate.dialects.grammar import check as check_events
from meshgate.dialects.meshgate_chat.read_response import StreamReader
from meshgate.dialects.neutral import FinishReason
from meshgate.dialects.openai_completions import grammar as completion_grammar
from meshgate.provider.demo import DemoUpstream
from meshgate.provider.failures import FailureKind
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError
from meshgate.v1 import gateway_service_pb2

SAID = "This is Meshgate's demo provider; no model was asked. You said: hello there"


class Waits:
    """Notes how long it was to wait, and does not."""

    def __init__(self):
        self.seconds = []

    async def __call__(self, seconds):
        self.seconds.append(seconds)


def demo(sleep=None, **options):
    provider = DemoProvider("demo", **options)
    return DemoUpstream(provider) if sleep is None else DemoUpstream(provider, sleep)


async def test_it_answers_with_what_the_user_said_last():
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "so?"},
        {"role": "user", "content": [{"type": "text", "text": "hello there"}]},
    ]
    body = json.dumps({"model": "m", "messages": messages}).encode()

    answer = await demo().answer(attempt(body))

    assert json.loads(answer.body)["choices"][0]["message"]["content"] == SAID
    assert answer.served_model == "upstream-model"
    assert answer.finish_reason is FinishReason.STOP


async def test_it_completes_a_prompt_without_messages():
    body = json.dumps({"model": "m", "prompt": "hello there"}).encode()

    answer = await demo().answer(attempt(body, "openai_completions"))

    assert json.loads(answer.body)["choices"][0]["text"] == SAID


async def test_it_streams_a_completion():
    body = json.dumps({"model": "m", "prompt": "hello there", "stream": True}).encode()

    steps = [step async for step in demo().stream(attempt(body, "openai_completions"))]

    stream = b"".join(step for step in steps if isinstance(step, bytes))
    completion_grammar.check(stream)
    assert steps[-1].usage.output_tokens == len(SAID.split())


async def test_it_speaks_geminis_dialect():
    contents = [{"parts": [{"text": "hello there"}]}]
    body = json.dumps({"model": "models/m", "contents": contents}).encode()

    answer = await demo().answer(attempt(body, "gemini_generate"))
    steps = [step async for step in demo().stream(attempt(body, "gemini_generate"))]

    [candidate] = json.loads(answer.body)["candidates"]
    assert candidate["content"]["parts"] == [{"text": SAID}]
    stream = [step for step in steps if isinstance(step, bytes)]
    gemini_grammar.check(b"".join(stream))
    assert all(stream)


async def test_it_embeds_geminis_contents():
    requests = [{"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 3}]
    body = json.dumps({"model": "models/m", "requests": requests}).encode()

    answer = await demo().answer(attempt(body, "gemini_embeddings"))

    [embedding] = json.loads(answer.body)["embeddings"]
    assert len(embedding["values"]) == 3


async def test_it_counts_tokens():
    answer = await demo().answer(attempt(chat()))

    assert answer.usage.output_tokens == len(SAID.split())
    assert answer.usage.input_tokens > 0
    assert json.loads(answer.body)["usage"]["completion_tokens"] == len(SAID.split())


async def test_the_same_request_has_the_same_answer():
    first, second, other = [
        json.loads((await demo().answer(attempt(chat(text)))).body) for text in ("a", "a", "b")
    ]

    assert first | {"created": 0} == second | {"created": 0}
    assert first["id"] != other["id"]


async def test_it_streams_word_by_word():
    stream = await streamed(demo(), attempt(streamed_chat(stream_options={"include_usage": True})))

    assert stream.text() == SAID
    assert len(stream.chunks) == len(SAID.split()) + 2
    assert stream.done.usage.output_tokens == len(SAID.split())


async def test_the_plain_and_the_streamed_answer_are_the_same():
    answer = await demo().answer(attempt(chat("x\n  y ")))
    stream = await streamed(demo(), attempt(streamed_chat("x\n  y ")))

    assert json.loads(answer.body)["choices"][0]["message"]["content"] == stream.text()


async def test_it_keeps_to_the_limit_on_tokens():
    answer = await demo().answer(attempt(chat(max_completion_tokens=3)))
    stream = await streamed(demo(), attempt(streamed_chat(max_tokens=3)))

    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "This is Meshgate's"
    assert answer.finish_reason is FinishReason.LENGTH
    assert stream.text() == "This is Meshgate's"
    assert stream.done.usage.output_tokens == 3


async def test_a_long_message_is_echoed_in_part():
    answer = await demo().answer(attempt(chat("x" * 10_000)))

    assert len(answer.body) < 2_000


async def test_it_speaks_the_typed_dialect():
    answer = await demo().answer(attempt(typed_chat(), "meshgate_chat"))
    stream = await streamed(demo(), attempt(typed_chat(), "meshgate_chat"))

    response = gateway_service_pb2.ChatResponse.FromString(answer.body)
    reader = StreamReader()
    events = [event for chunk in stream.chunks for event in reader.feed(chunk)]
    check_events(events)
    assert response.message.parts[0].text == SAID
    assert "".join(getattr(event, "text", "") for event in events) == SAID


async def test_equal_texts_have_equal_vectors_of_length_one():
    answer = await demo().answer(
        attempt(embeddings(["a", "b", "a"], dimensions=32), "openai_embeddings")
    )

    a, b, again = [item["embedding"] for item in json.loads(answer.body)["data"]]
    assert a == again != b
    assert len(a) == 32
    assert sum(value * value for value in a) == pytest.approx(1)
    assert answer.usage.input_tokens == 3


@pytest.mark.parametrize("body", [embeddings(dimensions=5000), embeddings(["a"] * 3000)])
async def test_more_vectors_than_it_makes_are_refused(body):
    with pytest.raises(InvalidRequestError):
        await demo().answer(attempt(body, "openai_embeddings"))


async def test_embeddings_are_not_streamed():
    with pytest.raises(UnsupportedError, match="does not answer openai_embeddings"):
        await streamed(demo(), attempt(embeddings(), "openai_embeddings"))


@pytest.mark.parametrize("kind", list(FailureKind))
async def test_it_fails_as_it_was_told(kind):
    plain = await failure_of(demo(fail=kind.value), attempt(chat()))
    stream = await streamed(demo(fail=kind.value), attempt(streamed_chat()))

    assert plain.kind is kind
    assert plain == stream.failure
    assert stream.head is None


async def test_it_fails_only_as_often_as_it_was_told():
    upstream = demo(fail="overloaded", fail_first=2)

    kinds = [(await failure_of(upstream, attempt(chat()))).kind for _ in range(2)]
    answer = await upstream.answer(attempt(chat()))

    assert kinds == [FailureKind.OVERLOADED] * 2
    assert answer.body


async def test_a_cut_comes_in_the_middle():
    plain = await failure_of(demo(fail="cut"), attempt(chat()))
    stream = await streamed(demo(fail="cut"), attempt(streamed_chat()))

    assert plain.kind is FailureKind.CONNECTION
    assert 1 < len(stream.chunks) < len(SAID.split())
    assert stream.failure.kind is FailureKind.CONNECTION


async def test_it_waits_before_the_first_word_and_between_words():
    waits = Waits()

    await streamed(demo(waits, delay_seconds=2, word_delay_seconds=0.5), attempt(streamed_chat()))

    assert waits.seconds == [2] + [0.5] * len(SAID.split())


@pytest.mark.parametrize(
    ("options", "timeouts"),
    [
        ({"delay_seconds": 60}, {"first_token_seconds": 0.02}),
        ({"delay_seconds": 60}, {"total_seconds": 0.02}),
        ({"word_delay_seconds": 60}, {"between_tokens_seconds": 0.02}),
    ],
    ids=str,
)
async def test_being_slow_is_a_timeout_here_too(options, timeouts):
    stream = await streamed(demo(**options), attempt(streamed_chat(), **timeouts))

    assert stream.failure.kind is FailureKind.TIMEOUT


async def test_requests_that_cannot_be_read_are_refused():
    with pytest.raises(InvalidRequestError):
        await demo().answer(attempt(b"{"))
