"""The examples are the test vectors that AWS's SDKs share for the format."""

import struct
import zlib

import pytest
from dialects.neutral_values import read_sizes, split
from hypothesis import given
from hypothesis import strategies as st
from upstream import event_stream

from meshgate.dialects.answers import MalformedAnswerError
from meshgate.dialects.bedrock_converse.event_stream import EventStreamReader, StreamMessage

EMPTY = bytes.fromhex("00000010 00000000 05c248eb 7d98c8ff")
PAYLOAD = b"\x00\x00\x00\x1d\x00\x00\x00\x00\xfdR\x8cZ{'foo':'bar'}\xc3e96"
NUMBER = (
    b"\x00\x00\x00+\x00\x00\x00\x0e4\x8b\xec{\x08event-id\x04\x00\x00\xa0\x0c{'foo':'bar'}"
    b"\xd3\x89\x02\x85"
)
TEXT = (
    b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10application/json"
    b"{'foo':'bar'}\x8d\x9c\x08\xb1"
)
VECTORS = [
    (EMPTY, StreamMessage({}, b"")),
    (PAYLOAD, StreamMessage({}, b"{'foo':'bar'}")),
    (NUMBER, StreamMessage({}, b"{'foo':'bar'}")),
    (TEXT, StreamMessage({"content-type": "application/json"}, b"{'foo':'bar'}")),
]
headers = st.dictionaries(
    st.text(st.characters(max_codepoint=127), min_size=1, max_size=20), st.text(max_size=30)
).map(lambda found: {k: v for k, v in found.items() if v.isprintable()})
messages = st.lists(st.tuples(headers, st.binary(max_size=50)), max_size=4)


def with_checksums(prelude, rest):
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + rest
    return whole + struct.pack(">I", zlib.crc32(whole))


@pytest.mark.parametrize(("message", "read"), VECTORS)
def test_the_published_examples_are_read(message, read):
    assert EventStreamReader().feed(message) == [read]


@given(messages, read_sizes)
def test_messages_are_the_same_however_the_reads_cut_them(sent, sizes):
    reader = EventStreamReader()
    body = b"".join(event_stream.message(*each) for each in sent)

    read = [message for part in split(sizes, body) for message in reader.feed(part)]

    assert read == [StreamMessage(*each) for each in sent]
    assert not reader.pending


@pytest.mark.parametrize("at", range(len(TEXT)))
def test_any_damaged_byte_is_found_out(at):
    damaged = TEXT[:at] + bytes([TEXT[at] ^ 1]) + TEXT[at + 1 :]

    with pytest.raises(MalformedAnswerError):
        EventStreamReader().feed(damaged)


@given(st.binary(min_size=12, max_size=200))
def test_what_is_no_event_stream_is_malformed(data):
    with pytest.raises(MalformedAnswerError):
        EventStreamReader().feed(data)


@pytest.mark.parametrize("length", range(1, len(TEXT)))
def test_a_part_of_a_message_is_waited_for(length):
    reader = EventStreamReader()

    assert reader.feed(TEXT[:length]) == []
    assert reader.pending


def test_a_message_over_the_limit_is_refused_at_its_prelude():
    body = event_stream.message({}, b"x" * 100)

    with pytest.raises(MalformedAnswerError):
        EventStreamReader(limit_bytes=99).feed(body[:12])


@pytest.mark.parametrize(
    "header",
    [b"\x04name", b"\x04name\x07\x00\x09short", b"\x04name\x63", b"\x01\xff\x07\x00\x00"],
    ids=["no type", "value too short", "unknown type", "name is no text"],
)
def test_headers_that_cannot_be_understood_are_malformed(header):
    body = with_checksums(struct.pack(">II", 16 + len(header), len(header)), header)

    with pytest.raises(MalformedAnswerError):
        EventStreamReader().feed(body)


def test_a_message_that_is_shorter_than_its_headers_is_malformed():
    with pytest.raises(MalformedAnswerError):
        EventStreamReader().feed(with_checksums(struct.pack(">II", 20, 8), b"abcd"))
