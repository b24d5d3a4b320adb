"""OpenAI's older completions: heads, pass-through, streams, and what is counted of them."""

import json

import pytest
from dialects.neutral_values import read_sizes, split, usages, words
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion

from meshgate.dialects import sse
from meshgate.dialects.answers import (
    AnswerGlance,
    CutStreamError,
    MalformedAnswerError,
    RequestHead,
)
from meshgate.dialects.grammar import GrammarError
from meshgate.dialects.metering import meter
from meshgate.dialects.neutral import (
    ChatResponse,
    Finished,
    FinishReason,
    Message,
    Reasoning,
    ReasoningDelta,
    Role,
    Started,
    Text,
    TextDelta,
    Usage,
)
from meshgate.dialects.openai_completions import grammar, texts, write_response
from meshgate.dialects.openai_completions.passthrough import StreamTracker, glance, retarget
from meshgate.dialects.openai_completions.read_request import read, read_head
from meshgate.dialects.openai_completions.tally import OutputTally
from meshgate.dialects.translation import translator
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError

DONE = b"data: [DONE]\n\n"
USAGE = Usage(input_tokens=3, output_tokens=4)


def body(**members):
    return json.dumps({"model": "m", "prompt": "Once", **members}).encode()


def chunk(text="", finish_reason=None, index=0, **members):
    choice = {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}
    whole = {"id": "1", "object": "text_completion", "created": 9, "model": "m"}
    return b"data: " + json.dumps(whole | {"choices": [choice]} | members).encode() + b"\n\n"


def told(usage):
    return chunk(choices=[], usage={"prompt_tokens": usage})


def tally(*chunks, **options):
    counted = OutputTally(answer_id="0", served_model="m0", created=5, **options)
    for piece in chunks:
        counted.take(piece)
    return counted


@st.composite
def streams(draw):
    """The events of a whole stream of several choices, `[DONE]` included."""
    wanted = draw(st.integers(1, 3))
    pieces = draw(st.lists(st.tuples(st.integers(0, wanted - 1), words), max_size=8))
    written = [chunk(index=index) for index in range(wanted)]
    written += [chunk(text, index=index) for index, text in pieces]
    reasons = st.sampled_from(["stop", "length", "content_filter"])
    written += [chunk("", draw(reasons), index) for index in range(wanted)]
    if draw(st.booleans()):
        written.append(told(3))
    return [*written, DONE]


class TestHead:
    @pytest.mark.parametrize(
        ("members", "head"),
        [
            ({}, RequestHead("m")),
            ({"prompt": ["a", "b"]}, RequestHead("m", choices=2)),
            ({"prompt": [1, 2, 3]}, RequestHead("m")),
            ({"prompt": [[1], [2, 3]], "n": 2}, RequestHead("m", choices=4)),
            ({"n": 2, "best_of": 5}, RequestHead("m", choices=5)),
            ({"prompt": None}, RequestHead("m")),
            ({"max_tokens": 7}, RequestHead("m", max_output_tokens=7)),
            ({"max_tokens": -1}, RequestHead("m")),
            ({"stream": True}, RequestHead("m", stream=True)),
            (
                {"stream": True, "stream_options": {"include_usage": True}},
                RequestHead("m", stream=True, include_usage=True),
            ),
        ],
    )
    def test_it_says_what_may_be_written_for_all_prompts(self, members, head):
        assert read_head(body(**members)) == head

    @pytest.mark.parametrize(
        ("members", "field"),
        [
            ({"model": ""}, "model"),
            ({"prompt": 7}, "prompt"),
            ({"prompt": []}, "prompt"),
            ({"prompt": ["a", 1]}, "prompt"),
            ({"prompt": ["a", [1]]}, "prompt"),
            ({"n": 0}, "n"),
            ({"max_tokens": "many"}, "max_tokens"),
        ],
    )
    def test_what_is_wrong_is_named(self, members, field):
        with pytest.raises(InvalidRequestError) as caught:
            read_head(body(**members))

        assert caught.value.field == field


class TestRetarget:
    def test_all_but_the_model_keeps_its_bytes(self):
        sent = b'{"prompt": ["model"], "model":"m","tomorrow":1.0, "echo":true}'

        assert retarget(sent, "n", read_head(sent)) == (
            b'{"prompt":["model"],"model":"n","tomorrow":1.0,"echo":true}'
        )

    def test_a_stream_is_asked_for_its_usage(self):
        sent = body(stream=True)

        written = json.loads(retarget(sent, "n", read_head(sent)))

        assert written["stream_options"] == {"include_usage": True}

    @pytest.mark.parametrize(
        ("members", "expected"),
        [
            ({}, {"max_tokens": 50}),
            ({"max_tokens": 10}, {"max_tokens": 10}),
            ({"max_tokens": 70}, {"max_tokens": 50}),
            ({"max_tokens": 0}, {"max_tokens": 50}),
            ({"n_predict": 99}, {"n_predict": 50, "max_tokens": 50}),
            # A bound of the newer API, which this one passes over, bounds nothing.
            ({"max_completion_tokens": 9}, {"max_completion_tokens": 9, "max_tokens": 50}),
        ],
    )
    def test_no_more_is_asked_for_than_the_cap(self, members, expected):
        sent = body(**members)

        written = json.loads(retarget(sent, "n", read_head(sent), 50))

        assert {name: written[name] for name in written if name not in {"model", "prompt"}} == (
            expected
        )


class TestAnswers:
    def test_a_plain_one_passes_untouched_and_is_looked_at(self):
        said = write_response.write(
            ChatResponse(
                id="1",
                served_model="m",
                message=Message(role=Role.ASSISTANT, parts=(Text("there"),)),
                finish_reason=FinishReason.LENGTH,
                usage=USAGE,
            ),
            created=1,
        )

        answer = translator("openai_completions", "openai_completions").answer(said, created=2)

        assert answer.body is said
        assert answer.glance == AnswerGlance("m", USAGE, FinishReason.LENGTH)
        assert Completion.model_validate_json(said).choices[0].text == "there"
        assert texts.answer_texts(said) == ["there"]

    @pytest.mark.parametrize(
        "said",
        [b"", b"<html>", b'{"error":{}}', b'{"choices":[]}', b'{"choices":[{"message":{}}]}',
         b'{"choices":[{"text":"\xff"}]}', b'{"choices":' + b"[" * 100_000],
    )  # fmt: skip
    def test_what_is_no_completion_is_malformed(self, said):
        with pytest.raises(MalformedAnswerError):
            glance(said)

    def test_what_is_no_text_is_not_written(self):
        thought = Message(role=Role.ASSISTANT, parts=(Reasoning(text="hm"),))
        writer = write_response.StreamWriter(created=1, include_usage=False)

        with pytest.raises(UnsupportedError):
            write_response.write(ChatResponse(id="1", served_model="m", message=thought), created=1)
        with pytest.raises(UnsupportedError):
            writer.write([ReasoningDelta("hm")])


class TestNeutralForm:
    def test_a_prompt_is_what_the_user_says(self):
        request = read(body(max_tokens=7, stop="x", temperature=0.5, tomorrow=1))

        assert request.messages == (Message(role=Role.USER, parts=(Text("Once"),)),)
        assert (request.max_output_tokens, request.stop_sequences) == (7, ("x",))
        assert json.loads(request.extra_json) == {"tomorrow": 1}

    @pytest.mark.parametrize(
        "members",
        [{"prompt": ["a", "b"]}, {"prompt": [1]}, {"n": 2}, {"echo": True}, {"suffix": "end"},
         {"logprobs": 1}],
    )  # fmt: skip
    def test_what_it_cannot_hold_is_refused_by_name(self, members):
        with pytest.raises(UnsupportedError) as caught:
            read(body(**members))

        assert caught.value.field in members

    @given(st.lists(words, max_size=4), st.none() | usages, st.booleans())
    @settings(deadline=None)
    def test_written_streams_are_legal(self, said, usage, wanted):
        events = [
            Started(id="1", served_model="m"),
            *map(TextDelta, said),
            Finished(reason=FinishReason.STOP, usage=usage),
        ]

        written = write_response.StreamWriter(created=1, include_usage=wanted).write(events)

        grammar.check(written)
        assert tally(written).texts() == ([text] if (text := "".join(said)) else [])


class TestStreams:
    @given(streams(), read_sizes)
    @settings(deadline=None)
    def test_whole_ones_pass_wherever_reads_split_them(self, events, sizes):
        tracker = StreamTracker(include_usage=True)
        sent = b"".join(events)

        passed = b"".join(tracker.feed(piece) for piece in split(sizes, sent)) + tracker.close()

        assert passed == sent
        assert tracker.done
        grammar.check(passed)

    def test_a_cut_one_is_found(self):
        tracker = StreamTracker(include_usage=True)
        tracker.feed(chunk("Once"))

        with pytest.raises(CutStreamError):
            tracker.close()

    @given(streams(), st.data())
    @settings(deadline=None)
    def test_one_that_is_ended_early_is_legal_and_counted(self, events, data):
        kept = events[: data.draw(st.integers(0, len(events)))]
        wanted = data.draw(st.booleans())
        counted = tally(*kept)

        ended = b"".join(kept) + counted.ending(FinishReason.LENGTH, USAGE, include_usage=wanted)

        grammar.check(ended)
        said = [json.loads(event.data) for event in sse.EventReader().feed(ended)[:-1]]
        size = sum(len(each["text"].encode()) for one in said for each in one["choices"])
        assert counted.text_bytes == size
        assert sum(len(text.encode()) for text in counted.texts()) == size
        if wanted and DONE not in kept:
            assert said[-1]["usage"]

    def test_an_error_ends_one(self):
        broken = b'data: {"error":{"message":"broken","type":"server_error"}}\n\n'
        counted = tally(chunk("a"), broken)

        assert counted.ended
        assert counted.ending(FinishReason.LENGTH, None, include_usage=True) == b""
        grammar.check(chunk("a") + broken)

    def test_odd_events_add_nothing(self):
        odd = [b"[1]", b"{", b'{"choices": 7}', b'{"choices": [7, {"text": 7, "index": "x"}]}']
        counted = tally(*(b"data: " + each + b"\n\n" for each in odd))

        assert counted.text_bytes == 0
        assert not counted.ended

    @pytest.mark.parametrize(
        "stream",
        [
            b"",
            chunk("a"),
            DONE,
            chunk("a") + DONE,
            chunk("a", "stop") + chunk("b") + DONE,
            chunk("a", "stop") + DONE + DONE,
            chunk("a") + told(1) + chunk("", "stop") + DONE,
            chunk("a", "stop") + told(1) + told(1) + DONE,
            chunk("a", id="2") + chunk("", "stop") + DONE,
            chunk("a", "whatever") + DONE,
            chunk("a", "stop", object="chat.completion.chunk") + DONE,
            chunk("a", "stop") + DONE[:-1],
        ],
    )
    def test_what_breaks_the_grammar_is_found(self, stream):
        with pytest.raises(GrammarError):
            grammar.check(stream)


class TestCounting:
    @pytest.mark.parametrize(
        ("members", "said", "tokens"),
        [
            ({}, ["Once"], 0),
            ({"prompt": ["a", "b"], "suffix": "c"}, ["a", "b", "c"], 0),
            ({"prompt": [5, 6, 7]}, [], 3),
            ({"prompt": [[5], [6, 7]]}, [], 3),
        ],
    )
    def test_prompts_are_texts_or_tokens(self, members, said, tokens):
        counted = meter("openai_completions").countable_text(body(**members))

        assert (counted.texts, counted.other_tokens) == (said, tokens)

    def test_what_cannot_be_read_is_all_text(self):
        assert texts.countable_text(b'{"prompt": 7}').texts == ['{"prompt": 7}']
        assert texts.answer_texts(b"<html>") == ["<html>"]
