"""What the gateway looks at in Gemini's traffic: texts, what is counted, what is kept, embeddings."""

import json

import pytest
from dialects.checking import MASK, SECRET, Checker, masked, shown
from dialects.gemini_values import answer, call, event, model_says, request, result, said_in
from dialects.neutral_values import usages
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects.gemini_embeddings.passthrough import as_batch, as_single
from meshgate.dialects.gemini_generate import token_count, write_response
from meshgate.dialects.gemini_generate.named_body import named
from meshgate.dialects.inspection import inspection
from meshgate.dialects.keeping import keeping
from meshgate.dialects.metering import meter
from meshgate.dialects.neutral import (
    ChatResponse,
    EncodingFormat,
    FinishReason,
    Message,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    Usage,
)
from meshgate.dialects.openai_api.errors import read_error
from meshgate.dialects.translation import translator
from meshgate.provider.failures import FailureKind, of_answer
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError

DIALECT = "gemini_generate"


def texts_of(cut):
    return {segment.locator: segment.text for segment in cut.segments}


def test_texts_of_a_request_are_found_wherever_they_stand():
    body = request(
        "question",
        model_says({"text": "hm", "thought": True}, call(args={"q": "args"})),
        {"role": "user", "parts": [result(response={"output": "outcome"})]},
        system_instruction={"parts": [{"text": "system"}]},
        tools=[{"functionDeclarations": [{"name": "f", "description": "not said"}]}],
    )

    found = texts_of(inspection(DIALECT).cut_request(body))

    assert found["contents[0].parts[0].text"] == "question"
    assert json.loads(found["contents[1].parts[1].functionCall.args"]) == {"q": "args"}
    assert "system" in found.values()
    assert any("outcome" in text for text in found.values())
    assert not any("not said" in text for text in found.values())


def test_a_masked_request_keeps_all_else():
    body = b'{"model":"m","contents":[{"parts":[{"text":"I am %b"}]}],"generationConfig":{"topP":0.50}}'
    body %= SECRET.encode()
    cut = inspection(DIALECT).cut_request(body)

    changed = cut.masked({segment.locator: masked(segment.text) for segment in cut.segments})

    assert changed == body.replace(SECRET.encode(), MASK.encode())


def test_a_blocked_answer_says_nothing_but_what_it_cost():
    data = json.dumps(answer({"text": SECRET}, usageMetadata={"promptTokenCount": 3})).encode()

    blocked = json.loads(inspection(DIALECT).blocked_answer(data))

    assert SECRET not in json.dumps(blocked)
    assert blocked["candidates"][0]["finishReason"] == "SAFETY"
    assert blocked["usageMetadata"] == {"promptTokenCount": 3}


@given(st.lists(st.integers(1, 9), max_size=9), st.integers(0, 12), st.booleans())
def test_a_stream_shows_no_secret_however_it_is_cut(sizes, delay, ends_with_text):
    whole = f"Well, {SECRET} is it; say {SECRET} to nobody."
    pieces, at = [], 0
    for size in sizes:
        pieces.append(whole[at : at + size])
        at += size
    pieces = [piece for piece in pieces if piece]
    last = [{"text": whole[at:]}] if ends_with_text and whole[at:] else [{"text": ""}]
    if not ends_with_text and whole[at:]:
        pieces.append(whole[at:])
    chunks = [event(answer({"text": piece}, finish=None)) for piece in pieces]
    chunks.append(event(answer(*last, call(args={"q": SECRET}))))

    out = shown(inspection(DIALECT).stream(), chunks, Checker(delay).released)

    parts = [p for c in said_in(out) for p in c["candidates"][0]["content"]["parts"]]
    assert "".join(part.get("text", "") for part in parts) == masked(whole)
    assert [p["functionCall"]["args"] for p in parts if "functionCall" in p] == [{"q": MASK}]


def test_thoughts_and_texts_are_looked_at_apart():
    chunks = [
        event(answer({"text": SECRET[:3], "thought": True}, finish=None)),
        event(answer({"text": SECRET[3:]})),
    ]

    out = shown(inspection(DIALECT).stream(), chunks, Checker().released)

    thoughts = [p for c in said_in(out) for p in c["candidates"][0]["content"]["parts"]]
    assert "".join(p["text"] for p in thoughts if p.get("thought")) == SECRET[:3]
    assert "".join(p["text"] for p in thoughts if not p.get("thought")) == SECRET[3:]


def test_what_there_is_to_count():
    picture = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    body = request({"parts": [{"text": "one"}, picture]}, model_says(call()))

    said = meter(DIALECT).countable_text(body)

    assert said.texts[:2] == ["one", "weather"]
    assert (said.message_count, said.other_tokens) == (2, 765)
    assert meter(DIALECT).answer_texts(json.dumps(answer({"text": "x"})).encode()) == ["x"]
    assert meter(DIALECT).countable_text(b"no json").texts == ["no json"]


def test_requests_that_mean_the_same_are_alike():
    kept = keeping(DIALECT)

    camel = kept.canonical(request(generationConfig={"topK": 1}, labels={"who": "me"}))
    snake = kept.canonical(request(generation_config={"top_k": 1}))
    other = kept.canonical(request(generationConfig={"topK": 2}))

    assert camel == snake
    assert camel.tells_alike
    assert camel.form != other.form
    assert not kept.canonical(request(tools=[{"googleSearch": {}}])).tells_alike


@pytest.mark.parametrize(
    ("finish", "end"), [("STOP", FinishReason.STOP), ("SAFETY", None), ("OTHER", None)]
)
def test_only_what_ended_well_is_kept(finish, end):
    assert (
        keeping(DIALECT).good_end(json.dumps(answer({"text": "x"}, finish=finish)).encode()) is end
    )


def test_a_stream_is_kept_and_told_again():
    kept = keeping(DIALECT)
    listener = kept.listen(created=1, limit_bytes=1000)

    for piece in ("a", "b"):
        listener.take(event(answer({"text": piece}, finish=None)))
    listener.take(event(answer({"text": "c"})))
    body = listener.body(Usage(input_tokens=1, output_tokens=3))

    [part] = json.loads(body)["candidates"][0]["content"]["parts"]
    assert part == {"text": "abc"}
    again = said_in(kept.streamed(body, 1, include_usage=True))
    assert again[-1]["usageMetadata"]["totalTokenCount"] == 4


names = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
calls = st.builds(
    ToolCall, id=names, name=names, arguments_json=st.sampled_from(['{"a": 1.0}', "{}"])
)
said = st.tuples(
    st.lists(st.builds(Reasoning, text=names), max_size=1),
    st.lists(st.builds(Text, names), max_size=1),
    st.lists(calls, max_size=2, unique_by=lambda call: call.id),
).map(lambda parts: tuple(part for group in parts for part in group))


@given(said, st.sampled_from([FinishReason.STOP, FinishReason.LENGTH]), usages)
def test_a_plain_answer_that_is_streamed_and_kept_is_the_same(parts, reason, usage):
    message = Message(role=Role.ASSISTANT, parts=parts)
    response = ChatResponse(
        id="i", served_model="m", message=message, finish_reason=reason, usage=usage
    )
    body = write_response.write(response, created=1)
    kept = keeping(DIALECT)
    listener = kept.listen(created=1, limit_bytes=1000)

    listener.take(kept.streamed(body, 1, include_usage=True))

    assert listener.body(usage) == body


def test_a_refusal_is_not_worth_keeping():
    message = Message(role=Role.ASSISTANT, parts=(Refusal("no"),))
    response = ChatResponse(
        id="i", served_model="m", message=message, finish_reason=FinishReason.STOP
    )

    assert keeping(DIALECT).good_end(write_response.write(response, created=1)) is None


def test_a_stream_that_was_cut_is_not_kept():
    listener = keeping(DIALECT).listen(created=1, limit_bytes=1000)

    listener.take(event(answer({"text": "a"}, finish=None)))

    assert listener.body(None) is None


def test_token_counts_name_the_upstreams_model():
    whole = {"model": "models/x", "contents": [{"parts": [{"text": "one"}]}]}
    body = json.dumps({"model": "models/x", "generateContentRequest": whole}).encode()
    counting = translator("gemini_token_count", "gemini_token_count")

    passed = json.loads(counting.request(body, "up", stream=False).body)
    told = counting.answer(b'{"totalTokens": 3, "new": 1}', created=1)

    assert passed == {"generateContentRequest": whole | {"model": "models/up"}}
    assert told.body == b'{"totalTokens": 3, "new": 1}'
    assert told.glance.usage == Usage()
    assert token_count.countable_text(body).texts == ["one"]


def embed(*texts, **members):
    requests = [{"content": {"parts": [{"text": text}]}, **members} for text in texts]
    return json.dumps({"model": "models/e", "requests": requests}).encode()


def test_embeddings_pass_through_with_the_upstreams_model():
    body = embed("a", model="models/e", taskType="CLUSTERING")

    passed = translator("gemini_embeddings", "gemini_embeddings").request(body, "up", stream=False)

    [made] = json.loads(passed.body)["requests"]
    assert (made["model"], made["taskType"]) == ("models/up", "CLUSTERING")
    assert "model" not in json.loads(passed.body)


def test_a_request_for_another_model_than_the_urls_is_refused():
    with pytest.raises(InvalidRequestError, match=r"requests\[0\]\.model"):
        translator("gemini_embeddings", "gemini_embeddings").request(
            embed("a", model="models/other"), "up", stream=False
        )


def test_embeddings_are_translated_both_ways():
    to_openai = translator("gemini_embeddings", "openai_embeddings")
    to_gemini = translator("openai_embeddings", "gemini_embeddings")

    asked = to_openai.request(embed("a", "b", outputDimensionality=4), "up", stream=False)
    wanted = to_gemini.request(
        b'{"model":"e","input":["a"],"dimensions":2,"encoding_format":"base64","user":"u"}',
        "up",
        stream=False,
    )

    assert json.loads(asked.body) == {
        "model": "up",
        "input": ["a", "b"],
        "encoding_format": EncodingFormat.FLOAT.value,
        "dimensions": 4,
    }
    content = {"parts": [{"text": "a"}]}
    assert json.loads(wanted.body) == {
        "requests": [{"model": "models/up", "content": content, "outputDimensionality": 2}]
    }
    told = json.loads(wanted.read_answer(b'{"embeddings":[{"values":[0.5,1]}]}').body)
    assert told["data"][0]["embedding"] == "AAAAPwAAgD8="
    assert told["model"] == "up"


@pytest.mark.parametrize(
    ("caller", "upstream", "body", "field"),
    [
        ("gemini_embeddings", "openai_embeddings", embed("a", taskType="CLUSTERING"), "task"),
        ("gemini_embeddings", "openai_embeddings", embed("a", title="t"), "title"),
        ("openai_embeddings", "gemini_embeddings", b'{"model":"e","input":[1,2]}', "input"),
        ("openai_embeddings", "gemini_embeddings", b'{"model":"e","input":"a","x":1}', "x"),
    ],
)
def test_what_the_other_cannot_embed_is_named(caller, upstream, body, field):
    with pytest.raises(UnsupportedError, match=field):
        translator(caller, upstream).request(body, "up", stream=False)


def test_a_single_content_is_a_batch_of_one():
    body = named(as_batch(b'{"content":{"parts":[{"text":"a"}]},"taskType":"X"}'), "models/e")

    single = as_single(b'{"embeddings":[{"values":[1.50]}],"usageMetadata":{"promptTokenCount":1}}')

    assert json.loads(body)["requests"][0]["taskType"] == "X"
    assert single == b'{"embedding":{"values":[1.50]},"usageMetadata":{"promptTokenCount":1}}'


def test_texts_to_embed_are_looked_at_and_counted():
    cut = inspection("gemini_embeddings").cut_request(embed("a", SECRET))

    assert [segment.text for segment in cut.segments] == ["a", SECRET]
    assert meter("gemini_embeddings").countable_text(embed("a", "b")).texts == ["a", "b"]


def google_error(code, status, message="x", **detail):
    details = [
        {"@type": f"type.googleapis.com/google.rpc.{kind}", **it} for kind, it in detail.items()
    ]
    error = {"code": code, "message": message, "status": status, "details": details}
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (429, google_error(429, "RESOURCE_EXHAUSTED"), FailureKind.RATE_LIMITED),
        (503, google_error(503, "UNAVAILABLE"), FailureKind.OVERLOADED),
        (400, google_error(400, "INVALID_ARGUMENT"), FailureKind.INVALID_REQUEST),
        (
            400,
            google_error(400, "INVALID_ARGUMENT", ErrorInfo={"reason": "API_KEY_INVALID"}),
            FailureKind.AUTHENTICATION,
        ),
        (
            400,
            google_error(
                400,
                "INVALID_ARGUMENT",
                "The input token count (1100000) exceeds the maximum number of tokens allowed.",
            ),
            FailureKind.CONTEXT_WINDOW,
        ),
        (404, google_error(404, "NOT_FOUND"), FailureKind.NOT_FOUND),
    ],
)
def test_googles_errors_are_understood(code, body, kind):
    failure = of_answer(code, read_error(code, body), None)

    assert failure.kind is kind
    assert kind is not FailureKind.AUTHENTICATION or failure.message != "x"


def test_google_says_in_the_details_when_to_come_back():
    body = google_error(429, "RESOURCE_EXHAUSTED", RetryInfo={"retryDelay": "34.07s"})

    assert read_error(429, body).retry_after_seconds == 34.07
