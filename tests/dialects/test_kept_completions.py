"""Completions that are kept: which are, and that they say the same streamed and plain."""

import json
from typing import Any

import pytest
from dialects.neutral_values import usages, words
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects.keeping import keeping
from meshgate.dialects.neutral import ChatResponse, FinishReason, Message, Role, Text, Usage
from meshgate.dialects.openai_completions import grammar, write_response

CREATED = 1_790_000_000
LIMIT = 1 << 20
COMPLETIONS = keeping("openai_completions")
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error": {"message": "no", "type": "x"}}\n\n'


@st.composite
def answers(draw: st.DrawFn) -> ChatResponse:
    text = draw(words)
    return ChatResponse(
        id="c-1",
        served_model="m-1",
        message=Message(role=Role.ASSISTANT, parts=(Text(text),) if text else ()),
        finish_reason=draw(st.sampled_from([FinishReason.STOP, FinishReason.LENGTH])),
        usage=draw(usages),
    )


def plain(response: ChatResponse) -> bytes:
    return write_response.write(response, created=CREATED)


def answered(*choices: Any) -> bytes:
    return json.dumps({"id": "c", "model": "m", "choices": choices}).encode()


def choice(reason: Any = "stop", text: Any = "x", **more: Any) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason, **more}


def chunk(*choices: Any) -> bytes:
    return b"data: " + answered(*choices) + b"\n\n"


def listened(stream: bytes, usage: Usage | None = None, limit: int = LIMIT) -> bytes | None:
    listener = COMPLETIONS.listen(CREATED, limit)
    listener.take(stream)
    return listener.body(usage)


class TestTelling:
    @given(answers(), st.booleans())
    def test_a_plain_answer_that_is_streamed_and_kept_is_the_same(
        self, response: ChatResponse, include_usage: bool
    ) -> None:
        body = plain(response)

        stream = COMPLETIONS.streamed(body, CREATED, include_usage=include_usage)

        grammar.check(stream)
        told_usage = include_usage and response.usage is not None
        assert (b'"usage"' in stream) == told_usage
        assert listened(stream, response.usage) == body

    @given(answers(), st.data())
    def test_a_stream_that_is_cut_is_not_kept(
        self, response: ChatResponse, data: st.DataObject
    ) -> None:
        stream = COMPLETIONS.streamed(plain(response), CREATED, include_usage=True)
        cut = data.draw(st.integers(0, len(stream) - len(DONE)))

        assert listened(stream[:cut]) is None

    def test_a_stream_in_pieces_is_put_together(self) -> None:
        listener = COMPLETIONS.listen(CREATED, LIMIT)

        for each in (chunk(choice(None, "On")), chunk(choice(None, "ce")), chunk(choice("length"))):
            listener.take(each)
        listener.take(chunk() + DONE)

        kept = json.loads(listener.body(Usage(input_tokens=3, output_tokens=4)))
        assert kept["choices"] == [choice("length", "Oncex")]
        assert (kept["id"], kept["model"], kept["created"]) == ("c", "m", CREATED)
        assert kept["usage"]["completion_tokens"] == 4

    def test_a_stream_with_more_text_than_is_kept_is_given_up(self) -> None:
        stream = chunk(choice("stop", "é" * 50)) + DONE

        assert listened(stream, limit=99) is None
        assert listened(stream, limit=100) is not None

    @pytest.mark.parametrize(
        "stream",
        [
            DONE,
            b"data: nonsense\n\n",
            ERROR,
            chunk(choice(None)) + DONE,
            chunk(choice()) + ERROR,
            chunk(choice(), choice(index=1)) + DONE,
            chunk(choice(None)) + chunk(choice(index=1)) + chunk(choice()) + DONE,
            chunk(choice(logprobs={"tokens": ["x"]})) + DONE,
            chunk(choice(text=None)) + DONE,
        ],
    )
    def test_what_is_not_one_whole_text_is_not_kept(self, stream: bytes) -> None:
        assert listened(stream + DONE) is None

    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            b"nonsense",
            b"\xff",
            answered(),
            answered(choice(), choice(index=1)),
            answered(choice(logprobs={"tokens": ["x"]})),
            answered(choice(text=None)),
        ],
    )
    def test_what_is_not_one_text_is_not_streamed(self, body: bytes) -> None:
        assert COMPLETIONS.streamed(body, CREATED, include_usage=True) is None


class TestWorth:
    @pytest.mark.parametrize(
        ("choices", "end"),
        [
            ([choice("stop")], FinishReason.STOP),
            ([choice("length"), choice("stop", index=1)], FinishReason.LENGTH),
            ([choice("stop"), choice("content_filter", index=1)], None),
            ([choice("eos")], None),
            ([choice(None)], None),
            ([choice(text=None)], None),
            ([], None),
        ],
    )
    def test_an_answer_is_worth_keeping_if_all_its_choices_ended_well(
        self, choices: list[Any], end: FinishReason | None
    ) -> None:
        assert COMPLETIONS.good_end(answered(*choices)) is end

    @pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"error": "x"}'])
    def test_what_is_no_answer_is_not(self, body: bytes) -> None:
        assert COMPLETIONS.good_end(body) is None


def form_of(**members: Any) -> bytes:
    return COMPLETIONS.canonical(json.dumps({"model": "m", "prompt": "a"} | members).encode()).form


class TestLikeness:
    @pytest.mark.parametrize(
        "members",
        [
            {"stream": True},
            {"stream_options": {"include_usage": True}},
            {"user": "u"},
            {"metadata": {"a": "b"}},
        ],
    )
    def test_how_a_completion_travels_and_who_is_said_to_ask_changes_nothing(
        self, members: dict[str, Any]
    ) -> None:
        assert form_of(**members) == form_of()

    @pytest.mark.parametrize(
        "members",
        [
            {"model": "n"},
            {"prompt": "b"},
            {"prompt": ["a"]},
            {"suffix": "b"},
            {"temperature": 0},
            {"max_tokens": 5},
            {"n": 2},
            {"echo": True},
            {"logprobs": 0},
            {"unknown": 1},
        ],
    )
    def test_everything_else_does(self, members: dict[str, Any]) -> None:
        assert form_of(**members) != form_of()

    @pytest.mark.parametrize(
        ("members", "alike"),
        [
            ({}, True),
            ({"prompt": None}, True),
            ({"prompt": ["a"]}, True),
            ({"prompt": [5, 6, 7]}, True),
            ({"prompt": [[5, 6]]}, True),
            ({"n": 1, "best_of": 1, "echo": False, "suffix": "", "logprobs": None}, True),
            ({"prompt": ["a", "b"]}, False),
            ({"prompt": [[5], [6]]}, False),
            ({"n": 2}, False),
            ({"best_of": 2}, False),
            ({"logprobs": 0}, False),
            ({"echo": True}, False),
            ({"suffix": "b"}, False),
        ],
    )
    def test_only_one_text_is_told_alike_streamed_and_plain(
        self, members: dict[str, Any], alike: bool
    ) -> None:
        body = json.dumps({"model": "m", "prompt": "a"} | members).encode()

        assert COMPLETIONS.canonical(body).tells_alike is alike
