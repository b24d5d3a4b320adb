"""Completions that are looked at: requests, plain answers, and streams whatever is held back of them."""

import json
from collections import defaultdict
from typing import Any

import pytest
from dialects.checking import MASK, SECRET, Checker, masked, shown
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects import sse
from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.inspection import inspection
from meshgate.dialects.openai_completions import grammar
from meshgate.runtime.errors import InvalidRequestError

COMPLETIONS = inspection("openai_completions")
DONE = b"data: [DONE]\n\n"
WHOLE = {"id": "c1", "object": "text_completion", "created": 7, "model": "m"}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def asking(**members: Any) -> bytes:
    return json.dumps({"model": "m", "temperature": 0.5, **members}).encode()


def choice(text: Any, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish, **more}


def saying(*choices: Any) -> bytes:
    return json.dumps({**WHOLE, "usage": USAGE, "choices": choices, "oddity": SECRET}).encode()


def chunk(*choices: Any, **more: Any) -> bytes:
    return b"data: " + json.dumps({**WHOLE, "choices": choices, **more}).encode() + b"\n\n"


def all_masked(cut: Any) -> bytes:
    return cut.masked({each.locator: masked(each.text) for each in cut.segments})


def locators(cut: Any) -> list[str]:
    return [each.locator for each in cut.segments]


class TestRequests:
    @pytest.mark.parametrize(
        ("members", "found"),
        [
            ({"prompt": SECRET}, ["prompt"]),
            ({"prompt": ["a", SECRET]}, ["prompt[0]", "prompt[1]"]),
            ({"prompt": "a", "suffix": SECRET}, ["prompt", "suffix"]),
            ({"prompt": {"text": SECRET}}, ["prompt"]),
            ({"prompt": [{"text": SECRET}]}, ["prompt[0]"]),
            ({"prompt": "", "documents": [SECRET]}, ["*"]),
        ],
    )
    def test_all_that_a_model_may_be_told_is_found_and_replaced(
        self, members: dict[str, Any], found: list[str]
    ) -> None:
        body = asking(**members)

        cut = COMPLETIONS.cut_request(body)

        assert locators(cut) == found
        assert json.loads(all_masked(cut)) == json.loads(masked(body.decode()))

    @pytest.mark.parametrize("prompt", [None, [5, 6], [[5], [6, 7]]])
    def test_prompts_that_are_tokens_already_pass_unseen(self, prompt: Any) -> None:
        body = asking(prompt=prompt)

        cut = COMPLETIONS.cut_request(body)

        assert cut.segments == []
        assert cut.masked({}) is body

    def test_what_tells_the_model_nothing_is_not_looked_at(self) -> None:
        cut = COMPLETIONS.cut_request(
            asking(prompt="a", stop=[SECRET], user=SECRET, metadata={"a": SECRET})
        )

        assert locators(cut) == ["prompt"]

    @pytest.mark.parametrize("body", [b"", b"[]", b'{"prompt":', b'{"a":"\\ud800"}'])
    def test_what_cannot_be_read_is_the_callers_mistake(self, body: bytes) -> None:
        with pytest.raises(InvalidRequestError):
            COMPLETIONS.cut_request(body)


class TestAnswers:
    @pytest.mark.parametrize(
        "said",
        [
            choice(SECRET, "stop"),
            choice("", "stop", reasoning=SECRET),
            choice("", "stop", details={"summary": [SECRET]}),
            choice({"parts": SECRET}, "stop"),
            SECRET,
        ],
    )
    def test_all_that_is_answered_is_found_and_replaced(self, said: Any) -> None:
        body = saying(choice("a", "stop"), said)

        answer = json.loads(all_masked(COMPLETIONS.cut_answer(body)))

        assert answer["choices"] == json.loads(masked(json.dumps([choice("a", "stop"), said])))
        assert answer["usage"] == USAGE

    def test_probabilities_go_with_what_was_replaced_and_only_then(self) -> None:
        body = saying(choice(f"a {SECRET}", "stop", logprobs={"tokens": ["a", SECRET]}))
        cut = COMPLETIONS.cut_answer(body)

        assert json.loads(all_masked(cut))["choices"] == [choice(f"a {MASK}", "stop")]
        assert cut.masked({}) == body

    def test_of_a_blocked_answer_only_what_it_cost_is_left(self) -> None:
        said = [choice(SECRET, "stop", at, logprobs={"tokens": [SECRET]}) for at in (0, 1)]

        blocked = COMPLETIONS.blocked_answer(saying(*said))

        assert json.loads(blocked) == {
            **WHOLE,
            "usage": USAGE,
            "choices": [choice("", "content_filter", at) for at in (0, 1)],
        }

    @pytest.mark.parametrize("job", ["cut_answer", "blocked_answer"])
    @pytest.mark.parametrize("body", [b'{"a":1}', b"[]", b"\xff"])
    def test_what_is_no_answer_is_refused(self, body: bytes, job: str) -> None:
        with pytest.raises(MalformedAnswerError):
            getattr(COMPLETIONS, job)(body)


# ----------------------------------------------------------------- streams

pieces = st.lists(
    st.sampled_from([SECRET, "hunter", "2", "h", "unt", "er2", " ", "the ", "ß€😀", ""]), max_size=8
)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """The events of a whole stream: choices mixed, several in one chunk, `[DONE]` at the end."""
    queues = []
    for index in range(draw(st.integers(1, 3))):
        thoughts = st.sampled_from([{}, {"reasoning": "hunt"}, {"reasoning": "er2"}])
        said = [choice(text, None, index, **draw(thoughts)) for text in draw(pieces)]
        last = draw(st.sampled_from(["", "2 and out", SECRET]))
        reason = draw(st.sampled_from(["stop", "length", "content_filter"]))
        queues.append([*said, choice(last, reason, index)])
    events = []
    while queues:
        count = draw(st.integers(1, 3))
        together = [draw(st.sampled_from(queues)) for _ in range(count)]
        events.append(chunk(*[queue.pop(0) for queue in together if queue]))
        queues = [queue for queue in queues if queue]
    usage = [chunk(usage=USAGE)] if draw(st.booleans()) else []
    return [*events, *usage, DONE]


@st.composite
def chunked(draw: st.DrawFn) -> list[bytes]:
    """A whole stream, several events at a time."""
    events = draw(streams())
    at = sorted(draw(st.sets(st.integers(0, len(events)), max_size=6)))
    return [b"".join(events[a:b]) for a, b in zip([0, *at], [*at, len(events)], strict=True)]


def told(stream: bytes) -> list[dict[str, Any]]:
    """All choices of a stream's chunks, in order."""
    events = [event.data for event in sse.EventReader().feed(stream)]
    chunks = [json.loads(data) for data in events if data != b"[DONE]"]
    return [each for one in chunks for each in one["choices"]]


def texts_of(stream: bytes) -> dict[Any, str]:
    """What a client puts together of a stream, by choice and member."""
    texts: dict[Any, str] = defaultdict(str)
    for each in told(stream):
        for member in ("text", "reasoning"):
            texts[each["index"], member] += each.get(member, "")
    return {where: text for where, text in texts.items() if text}


def all_masked_texts(stream: bytes) -> dict[Any, str]:
    return {where: masked(text) for where, text in texts_of(stream).items()}


def looked_at(*chunks: bytes, checker: Checker | None = None) -> bytes:
    return shown(COMPLETIONS.stream(), chunks, (checker or Checker()).released)


class TestStreams:
    @given(chunked(), st.integers(0, 30))
    def test_what_a_client_puts_together_is_the_masked_whole(
        self, chunks: list[bytes], delay: int
    ) -> None:
        checker = Checker(delay)

        stream = looked_at(*chunks, checker=checker)

        grammar.check(b"".join(chunks))
        grammar.check(stream)
        assert texts_of(stream) == all_masked_texts(b"".join(chunks))
        assert not checker._held

    @given(chunked())
    def test_what_is_released_at_once_passes_byte_for_byte(self, chunks: list[bytes]) -> None:
        stream = shown(COMPLETIONS.stream(), chunks, lambda piece: piece.text)

        assert stream == b"".join(chunks)

    @given(chunked(), st.data())
    def test_wherever_a_stream_is_closed_early_all_that_was_held_comes_out(
        self, chunks: list[bytes], data: st.DataObject
    ) -> None:
        taken = chunks[: data.draw(st.integers(0, len(chunks)))]
        inspected, checker = COMPLETIONS.stream(), Checker(10)
        stream = shown(inspected, taken, checker.released)

        closing = inspected.closing()
        stream += closing.written([checker.released(piece) for piece in closing.pieces])

        assert texts_of(stream) == all_masked_texts(b"".join(taken))
        assert not checker._held

    def test_held_text_comes_before_the_finish_reason_the_usage_and_the_end(self) -> None:
        events = [chunk(choice("I say hunt")), chunk(choice("", "stop")), chunk(usage=USAGE), DONE]

        stream = looked_at(*events)

        expected = [chunk(choice("I sa")), chunk(choice("y hunt")), *events[1:]]
        read = sse.EventReader().feed(stream)[:-1]
        assert [json.loads(event.data) for event in read] == [
            json.loads(each[6:]) for each in expected[:-1]
        ]
        assert stream.endswith(DONE)

    def test_what_is_held_of_a_member_that_nobody_knows_comes_in_that_member(self) -> None:
        stream = looked_at(chunk(choice("", thought="hunt")), chunk(choice("a", "stop")), DONE)

        grammar.check(stream)
        assert [each.get("thought") for each in told(stream)] == ["", "hunt", None]

    def test_token_probabilities_are_taken_out_for_they_tell_the_text_again(self) -> None:
        stream = looked_at(chunk(choice("a", "stop", logprobs={"tokens": [SECRET]})), DONE)

        assert told(stream) == [choice("a", "stop")]

    @pytest.mark.parametrize(
        "said",
        [
            choice({"parts": [SECRET]}),
            choice("", details=[SECRET]),
            choice(None, reasoning=SECRET),
            SECRET,
        ],
    )
    def test_nothing_that_a_choice_says_goes_unseen(self, said: Any) -> None:
        stream = looked_at(chunk(said), chunk(choice("", "stop")), DONE)

        assert SECRET.encode() not in stream
        assert MASK.encode() in stream

    def test_a_name_that_is_not_the_apis_own_is_in_no_channels_name(self) -> None:
        checker = Checker()

        looked_at(chunk(choice("a", **{SECRET: "b", "other": "c"})), checker=checker)

        assert len(checker.kinds) == 3
        assert not any(SECRET in channel for channel in checker.kinds)

    def test_an_error_passes(self) -> None:
        error = b'data: {"error":{"message":"broken","type":"server_error"}}\n\n'

        assert looked_at(chunk(choice("a long story")), error).endswith(error)

    def test_an_event_that_is_no_chunk_is_refused(self) -> None:
        with pytest.raises(MalformedAnswerError):
            looked_at(b"data: [1]\n\n")
