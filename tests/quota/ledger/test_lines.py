import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quota.ledger.usage import adjusted, charge, entries, record

from meshgate.quota.ledger.labels import LONGEST_LABEL_BYTES
from meshgate.quota.ledger.lines import Line, lines_of_record
from meshgate.v1 import usage_record_pb2 as pb
from meshgate.v1.usage_pb2 import Usage


def test_every_charge_has_a_line_and_the_request_counts_once():
    two = record("h", charge(30), charge(None, provider="local", estimated=True))

    first, second = lines_of_record(two)

    assert first == Line(
        *(
            "acme",
            "red",
            "ann",
            "k1",
            "small",
            "openai/gpt-1",
            "",
            1,
            1,
            0,
            10,
            4,
            0,
            5,
            2,
            30,
            0,
            0,
        )
    )
    assert (second.target, second.requests) == ("local/gpt-1", 0)
    assert (second.cost_nanos, second.unpriced_charges, second.estimated_charges) == (0, 1, 1)


def test_a_price_of_nothing_is_a_price():
    (line,) = lines_of_record(record("h", charge(0)))

    assert (line.cost_nanos, line.unpriced_charges) == (0, 0)


def test_an_answer_from_the_cache_counts_what_it_saved():
    saved = pb.Charge(cost_nanos=99, usage=Usage(input_tokens=7, output_tokens=3))
    hit = record("h", cache=pb.CACHE_OUTCOME_HIT, saved=saved)

    (line,) = lines_of_record(hit)

    assert (line.requests, line.cache_hits, line.target) == (1, 1, "")
    assert (line.saved_cost_nanos, line.saved_tokens, line.cost_nanos) == (99, 10, 0)


def test_a_request_that_was_blocked_counts_without_a_charge():
    (line,) = lines_of_record(record("h", outcome=pb.REQUEST_OUTCOME_BLOCKED))

    assert (line.requests, line.outcome) == (1, pb.REQUEST_OUTCOME_BLOCKED)
    assert (line.input_tokens, line.unpriced_charges) == (0, 0)


def test_an_outcome_of_a_later_version_is_none_of_ours():
    (line,) = lines_of_record(record("h", outcome=70_000))

    assert line.outcome == 0


def test_tags_are_one_label_whatever_their_order():
    (one,) = lines_of_record(record("h", tags={"b": "2", "a": "1"}))
    (other,) = lines_of_record(record("h", tags={"a": "1", "b": "2"}))

    assert one.tags == other.tags == '{"a":"1","b":"2"}'


@given(st.dictionaries(st.text(max_size=40), st.text(max_size=900), max_size=8))
def test_tags_are_always_json_that_an_index_takes(tags):
    (line,) = lines_of_record(record("h", tags=tags))

    assert len(line.tags.encode()) <= LONGEST_LABEL_BYTES
    kept = json.loads(line.tags or "{}")
    assert len(kept) <= len(tags)
    assert "\x00" not in "".join([*kept, *kept.values()])


@given(st.text(max_size=900))
def test_names_are_always_what_a_database_takes(name):
    (line,) = lines_of_record(record("h", model=name * 3))

    assert len(line.model.encode()) <= LONGEST_LABEL_BYTES
    assert "\x00" not in line.model


def test_what_was_given_up_counts_as_spent_under_those_who_had_limits():
    (entry,) = entries(adjusted(1, subjects=["key/config/a", "user/ann", "team/red", "tag/x=y"]))

    assert entry.lines == (
        Line(
            organization="acme",
            team="red",
            user="ann",
            key="config/a",
            requests=1,
            input_tokens=20,
            output_tokens=30,
            cost_nanos=40,
            estimated_charges=1,
        ),
    )


def test_what_comes_back_is_taken_off_again():
    (entry,) = entries(adjusted(1, b"returned"))

    (line,) = entry.lines
    assert (line.requests, line.input_tokens, line.cost_nanos) == (-1, -20, -40)
    assert line.estimated_charges == 0


@pytest.mark.parametrize("partition", [b"everyone", b"model/small", b"target/openai/gpt-1", b""])
def test_what_counts_beside_an_organization_is_not_counted_twice(partition):
    (entry,) = entries(adjusted(1, partition=partition))

    assert entry.lines == ()
