"""Streams that are wrong somewhere: they end with an error, or are whole, and break nothing."""

import os

import pytest
from dialects.matrix.corpora import is_passed, parsed, recordings
from dialects.matrix.expectations import expected
from dialects.matrix.spoiling import VALUES, paths, spoiled, with_member
from dialects.matrix.stream_run import check, check_for_callers, pass_on, run
from hypothesis import given, settings
from hypothesis import strategies as st

from meshgate.dialects.translation import UPSTREAM_DIALECTS

RECORDINGS = recordings()
# The typed API is spoken by the mesh's own services only.
FOREIGN = sorted({*UPSTREAM_DIALECTS} - {"meshgate_chat"})
READ = [recording for recording in RECORDINGS if recording.dialect in FOREIGN]
PASSED = sorted({r.dialect for r in RECORDINGS if is_passed(r.dialect)})
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
# The others differ from these in words only.
SWEPT = ("call", "thoughts", "usage", "citations")
SWEPT_STREAMS = [
    recording
    for recording in READ
    if recording.name in SWEPT or (THOROUGH and expected(recording.dialect, recording.name))
]
EXAMPLES = 2 * settings().max_examples


def of(dialect):
    return st.sampled_from([it for it in RECORDINGS if it.dialect == dialect])


@pytest.mark.parametrize("recording", SWEPT_STREAMS, ids=str)
def test_a_member_of_another_type_ends_the_stream_or_is_passed_over(recording):
    read = UPSTREAM_DIALECTS[recording.dialect].stream_reader
    for at in range(len(recording.frames)):
        for number, path in enumerate(paths(parsed(recording, at))):
            values = VALUES if THOROUGH else ("", *VALUES[number % 8 :: 8])
            for value in values:
                result = run(read(), with_member(recording, at, path, value))

                check(result)
                check_for_callers(result)


@pytest.mark.parametrize("dialect", FOREIGN)
@given(st.data())
@settings(max_examples=EXAMPLES)
def test_events_that_are_missing_repeated_or_broken_end_the_stream_or_are_passed_over(
    dialect, data
):
    frames = data.draw(of(dialect).flatmap(spoiled))
    reads = [b"".join(frames)] if data.draw(st.booleans()) else frames

    result = run(UPSTREAM_DIALECTS[dialect].stream_reader(), reads)

    check(result)
    check_for_callers(result)


@pytest.mark.parametrize("dialect", PASSED)
@given(st.data())
def test_a_spoiled_stream_that_is_passed_on_ends_well_or_with_an_error(dialect, data):
    recording = data.draw(of(dialect))
    frames = data.draw(spoiled(recording))

    passage = pass_on(recording, frames)

    assert passage.done == (passage.error is None)


@pytest.mark.parametrize("dialect", UPSTREAM_DIALECTS)
@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_no_answer(dialect, noise):
    result = run(UPSTREAM_DIALECTS[dialect].stream_reader(), [noise])

    check(result)
    assert not result.done
