"""Conversations as they are kept, and answers as they come to stay in them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshgate.dialects.neutral import (
    ChatRequest,
    Citation,
    Finished,
    FinishReason,
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Role,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolResult,
)
from meshgate.routing.answer_draft import AnswerDraft
from meshgate.routing.conversation import Bounds, Conversation, size_of
from meshgate.runtime.errors import FailedPreconditionError, GatewayError, RequestTooLargeError

SYSTEM = Message(role=Role.SYSTEM, parts=(Text("be brief"),))
CALL = ToolCall(id="c1", name="clock", arguments_json="{}")


def user(text="hi"):
    return Message(role=Role.USER, parts=(Text(text),))


def assistant(*parts):
    return Message(role=Role.ASSISTANT, parts=parts or (Text("hello"),))


def result(call_id="c1"):
    return ToolResult(tool_call_id=call_id, content=(Text("noon"),))


def conversation(*messages, **bounds):
    return Conversation(ChatRequest(model="m", messages=messages), Bounds(**bounds))


def roles(conversation):
    return [message.role.value for message in conversation.question().messages]


def draft(*events, most_bytes=1000):
    gathered = AnswerDraft(most_bytes)
    for event in events:
        gathered.take(event)
    return gathered


class TestTurns:
    def test_each_question_holds_all_that_was_said(self):
        talk = conversation(SYSTEM)
        talk.say(user("one"))
        talk.answer(assistant())
        talk.say(user("two"))

        question = talk.question()

        assert question.model == "m"
        assert question.messages == (SYSTEM, user("one"), assistant(), user("two"))
        assert talk.turn == 2

    def test_a_turn_that_is_taken_back_leaves_no_trace(self):
        talk = conversation(SYSTEM)
        room = talk.room_bytes
        talk.say(user())

        talk.take_back()

        assert roles(talk) == ["system"]
        assert talk.room_bytes == room
        assert talk.turn == 1

    def test_an_answer_of_nothing_keeps_the_question(self):
        talk = conversation()
        talk.say(user())

        talk.answer(None)

        assert roles(talk) == ["user"]

    @pytest.mark.parametrize("begin", [lambda t: t.say(user()), lambda t: t.report([result()])])
    def test_nothing_is_said_while_an_answer_is_in_progress(self, begin):
        talk = conversation(SYSTEM)
        talk.say(user())

        with pytest.raises(FailedPreconditionError):
            begin(talk)

        assert roles(talk) == ["system", "user"]

    def test_tool_calls_are_answered_before_the_user_speaks(self):
        talk = conversation()
        talk.say(user())
        talk.answer(assistant(CALL))

        with pytest.raises(FailedPreconditionError) as caught:
            talk.say(user("never mind"))
        talk.report([result()])

        assert caught.value.field == "user"
        assert roles(talk) == ["user", "assistant", "tool"]

    @pytest.mark.parametrize("ids", [[], ["c1"], ["c2", "c2"], ["c1", "c2", "c3"], ["c1", "x"]])
    def test_there_is_one_result_for_each_call_and_no_other(self, ids):
        talk = conversation(user(), assistant(CALL, ToolCall(id="c2", name="clock")))

        with pytest.raises(FailedPreconditionError):
            talk.report([result(call_id) for call_id in ids])

    def test_results_that_nobody_waits_for_are_refused(self):
        with pytest.raises(FailedPreconditionError):
            conversation(user(), assistant()).report([result()])

    def test_one_goes_on_from_tool_calls_that_another_ended_with(self):
        talk = conversation(user(), assistant(CALL))

        talk.report([result()])

        assert roles(talk) == ["user", "assistant", "tool"]


class TestBounds:
    @pytest.mark.parametrize(
        ("bounds", "what"),
        [({"messages": 2}, "messages"), ({"size_bytes": 15}, "bytes"), ({"turns": 1}, "turns")],
    )
    def test_a_turn_over_a_bound_is_refused_and_changes_nothing(self, bounds, what):
        talk = conversation(**bounds)
        talk.say(user("12345"))
        talk.answer(assistant(Text("12345")))

        with pytest.raises(RequestTooLargeError) as caught:
            talk.say(user("123456"))

        assert caught.value.values["what"] == what
        assert roles(talk) == ["user", "assistant"]

    def test_an_opening_over_a_bound_is_refused(self):
        with pytest.raises(RequestTooLargeError):
            conversation(user("123456"), size_bytes=5)

    def test_media_count_by_their_bytes(self):
        picture = Image(data=b"x" * 100, media_type="image/png")

        assert size_of(Message(role=Role.USER, parts=(picture, Text("é")), name="ada")) == 105

    def test_results_with_pictures_and_what_is_cited_have_a_size_as_well(self) -> None:
        picture = Image(data=b"x" * 100, media_type="image/png")
        result = ToolResult(tool_call_id="c", content=(Text("é"), picture))
        cited = Text("so", (Citation(uri="u", title="t", quoted="é"),))

        assert size_of(Message(role=Role.TOOL, parts=(result,))) == 102
        assert size_of(Message(role=Role.ASSISTANT, parts=(cited,))) == 6

    @given(
        st.lists(
            st.sampled_from(["say", "report", "answer", "call", "nothing", "take_back"]),
            max_size=30,
        )
    )
    def test_whatever_comes_what_is_kept_can_be_asked(self, steps):
        talk = conversation(messages=10, turns=6)
        answers = {"answer": assistant(), "call": assistant(CALL), "nothing": None}
        is_open = False
        for step in steps:
            try:
                if step in {"say", "report"}:
                    talk.say(user()) if step == "say" else talk.report([result()])
                    is_open = True
            except GatewayError:
                pass
            if is_open and step in answers:
                talk.answer(answers[step])
                is_open = False
            if is_open and step == "take_back":
                talk.take_back()
                is_open = False

        messages = talk.question().messages
        assert len(messages) <= 10 + 1  # the answer to the last question has its place
        assert talk.room_bytes == Bounds().size_bytes - sum(map(size_of, messages))
        for message, following in pairwise(messages):
            calls = [part for part in message.parts if isinstance(part, ToolCall)]
            assert (following.role is Role.TOOL) == bool(calls)


class TestDrafts:
    EVENTS = (
        Started(id="1", served_model="m"),
        ReasoningDelta("h"),
        ReasoningDelta("m"),
        TextDelta("Hel"),
        TextDelta("lo"),
        RefusalDelta("no"),
        ToolCallDelta(index=0, id="c1", name="clock", arguments_fragment="{"),
        ToolCallDelta(index=1, id="c2", name="clock"),
        ToolCallDelta(index=0, arguments_fragment="}"),
    )

    def test_all_of_an_answer_stays(self):
        finished = Finished(reason=FinishReason.TOOL_CALLS)

        gathered = draft(*self.EVENTS, finished)

        assert gathered.is_finished
        assert gathered.whole() == assistant(
            Reasoning(text="hm"),
            Text("Hello"),
            Refusal("no"),
            CALL,
            ToolCall(id="c2", name="clock"),
        )

    @pytest.mark.parametrize("reason", [FinishReason.LENGTH, FinishReason.CONTENT_FILTER])
    def test_of_an_answer_that_was_cut_stays_what_was_said_aloud(self, reason):
        gathered = draft(*self.EVENTS, Finished(reason=reason))

        assert gathered.is_finished
        assert gathered.whole() == assistant(Text("Hello"), Refusal("no"))

    def test_only_what_was_said_aloud_stays_of_one_that_is_cancelled(self):
        gathered = draft(*self.EVENTS)

        assert not gathered.is_finished
        assert gathered.spoken() == assistant(Text("Hello"), Refusal("no"))

    def test_of_thoughts_alone_nothing_does(self):
        assert draft(*self.EVENTS[:3]).spoken() is None
        assert draft(self.EVENTS[0]).whole() is None

    @pytest.mark.parametrize(
        "event", [TextDelta("éé"), ToolCallDelta(index=0, id="1", name="2", arguments_fragment="3")]
    )
    def test_one_that_grows_too_long_is_given_up(self, event):
        with pytest.raises(RequestTooLargeError):
            draft(event, most_bytes=2)
