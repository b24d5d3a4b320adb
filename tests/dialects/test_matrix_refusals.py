"""Errors of upstreams, of every status, told to callers of every dialect."""

import pytest
from dialects.matrix.pairs import CALLERS
from dialects.matrix.refusals import OF_THE_REQUEST, SAID, STATUSES, told

CASES = [
    (caller, status)
    for caller in CALLERS
    for status in STATUSES
    if told(caller, status) is not None
]


@pytest.mark.parametrize(("caller", "status"), CASES)
def test_callers_are_told_of_errors_in_their_own_dialect(caller, status):
    error = told(caller, status)

    assert error.word
    assert (SAID.encode() in error.body) == (status in OF_THE_REQUEST)


@pytest.mark.parametrize(("caller", "status"), CASES)
def test_who_is_to_blame_is_the_same_to_callers_of_all_dialects(caller, status):
    error = told(caller, status)

    assert error.status == told("openai_chat", status).status
    if status in OF_THE_REQUEST:
        assert error.status == status
    elif status in (402, 429):
        assert error.status == 429
    else:
        assert error.status >= 500


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("status", [429, 503, 529])
def test_when_to_come_back_travels_with_the_error(caller, status):
    error = told(caller, status)

    assert error is None or error.error.retry_after_seconds == 7.0
