"""Streamed responses that are looked at: clients get the masked whole, wherever it is told."""

import json
from collections import defaultdict

import pytest
from dialects.checking import MASK, SECRET, Checker, masked, shown
from dialects.responses_values import (
    THINKING,
    body,
    events_in,
    pieces_of,
    streams,
    upstream_stream,
    written,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from upstream.behaviours import Behaviour, ToolCall

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.inspection import inspection
from meshgate.dialects.keeping import keeping
from meshgate.dialects.neutral import FinishReason, Usage
from meshgate.dialects.openai_responses import grammar
from meshgate.dialects.openai_responses.inspected_stream import InspectedStream
from meshgate.dialects.openai_responses.tally import OutputTally

DIALECT = "openai_responses"
USAGE = Usage(input_tokens=3, output_tokens=4)
SAID = Behaviour(text=f"It is {SECRET}, not hunter3.", chunks=7)


def texts_of(stream):
    """What clients put together of a stream: from its pieces, its items and its end."""
    pieces, items = defaultdict(str), {}
    for event in events_in(stream):
        if event["type"].endswith(".delta"):
            part = event.get("content_index", event.get("summary_index"))
            pieces[event["output_index"], part] += event["delta"]
        elif event["type"] == "response.output_item.done":
            items[event["output_index"]] = event["item"]
    end = events_in(stream)[-1]["response"]["output"]
    return dict(pieces), items, end


class TestLooking:
    @given(streams(), st.integers(0, 30))
    @settings(deadline=None, max_examples=30)
    def test_nothing_changes_where_nothing_is_found(self, events, delay):
        stream = written(events)

        seen = shown(InspectedStream(), pieces_of(stream), Checker(delay).released)

        grammar.check(seen)
        before, after = texts_of(stream), texts_of(seen)
        said = [{where: text for where, text in it[0].items() if text} for it in (before, after)]
        assert said[0] == said[1]
        assert after[1:] == before[1:]

    @pytest.mark.parametrize("delay", [0, 5, 100])
    @pytest.mark.parametrize(
        "behaviour",
        [SAID, Behaviour(tool_calls=(ToolCall("f", f'{{"a":"{SECRET}"}}'), ToolCall("g", "{}")))],
    )
    def test_what_is_found_is_masked_wherever_it_is_told(self, behaviour, delay):
        stream = upstream_stream(behaviour, **THINKING)

        seen = shown(InspectedStream(), stream, Checker(delay).released)

        grammar.check(seen)
        assert SECRET.encode() not in seen
        before, after = texts_of(b"".join(stream)), texts_of(seen)
        assert after[2] == json.loads(masked(json.dumps(before[2])))
        assert list(after[1].values()) == after[2]
        assert MASK.encode() in seen

    @pytest.mark.parametrize("left_out", [(b".delta\n",), (b".delta\n", b".done\n", b".added\n")])
    def test_what_is_not_told_in_pieces_is_masked_too(self, left_out):
        stream = [
            piece for piece in upstream_stream(SAID) if not any(kind in piece for kind in left_out)
        ]

        seen = shown(InspectedStream(), stream, Checker().released)

        assert SECRET.encode() not in seen
        assert MASK.encode() in seen

    def test_what_nobody_knows_is_looked_at(self):
        strange = b'event: x\ndata: {"type":"x","sequence_number":2,"said":"' + SECRET.encode()
        stream = [*upstream_stream()[:2], strange + b'"}\n\n']

        seen = shown(InspectedStream(), stream, Checker().released)

        assert SECRET.encode() not in seen

    def test_a_stream_may_be_closed_and_ended_at_any_event(self):
        stream = upstream_stream(SAID, **THINKING)
        for at in range(len(stream) - 1):
            inspected, checker = InspectedStream(), Checker(50)
            seen = shown(inspected, stream[:at], checker.released)
            closing = inspected.closing()

            seen += closing.written([checker.released(piece) for piece in closing.pieces])

            ending = ended(seen)
            grammar.check(seen + ending)
            assert SECRET.encode() not in seen + ending

    def test_what_is_added_after_the_end_of_a_text_is_refused(self):
        stream = upstream_stream()
        until_its_end = stream[: next(at for at, it in enumerate(stream) if b"text.done" in it) + 1]

        with pytest.raises(MalformedAnswerError):
            shown(InspectedStream(), [*until_its_end, stream[4]], Checker().released)

    def test_a_request_is_masked_in_all_its_texts(self):
        said = f"my {SECRET}"
        request = body(
            instructions=said,
            input=[
                {"role": "user", "content": said},
                {"role": "user", "content": [{"type": "input_text", "text": said}]},
                {"type": "function_call", "call_id": SECRET, "name": "f", "arguments": f'"{said}"'},
                {"type": "function_call_output", "call_id": SECRET, "output": said},
                {"type": "tomorrow", "said": said},
            ],
            tools=[{"type": "function", "name": "f", "description": said}],
        )
        cut = inspection(DIALECT).cut_request(request)

        changed = cut.masked({each.locator: masked(each.text) for each in cut.segments})

        assert len(cut.segments) == 6
        assert {each.locator for each in cut.segments} >= {"instructions", "input[0].content"}
        assert changed.count(SECRET.encode()) == 3  # the ids and the tool are the application's

    def test_an_answer_is_masked_or_blocked_whole(self):
        plain = keeping(DIALECT).listen(7, 10**6)
        for piece in upstream_stream(SAID):
            plain.take(piece)
        answer = plain.body(USAGE)
        cut = inspection(DIALECT).cut_answer(answer)

        changed = cut.masked({each.locator: masked(each.text) for each in cut.segments})
        blocked = json.loads(inspection(DIALECT).blocked_answer(answer))

        assert [each.locator for each in cut.segments] == ["output[0].content[0].text"]
        assert SECRET.encode() not in changed
        assert blocked["output"] == []
        assert blocked["incomplete_details"] == {"reason": "content_filter"}
        assert blocked["usage"]["output_tokens"] == 4


def ended(seen):
    tally = OutputTally(answer_id="0", served_model="m0", created=5)
    tally.take(seen)
    return tally.ending(FinishReason.CONTENT_FILTER, USAGE, include_usage=True)
