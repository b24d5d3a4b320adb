"""The grammar of Converse's streams, for tests: what the fake upstream must keep to.

    messageStart (contentBlockStart? contentBlockDelta* contentBlockStop)* messageStop metadata

Blocks are numbered from 0 and do not overlap; only a tool's call must begin with a contentBlockStart.
An exception may stand anywhere, and nothing follows it.
"""

import msgspec

from meshgate.dialects.bedrock_converse.event_stream import EventStreamReader, StreamMessage
from meshgate.dialects.grammar import GrammarError

_AFTER = {
    "": {"messageStart"},
    "messageStart": {"contentBlockStart", "contentBlockDelta", "messageStop"},
    "contentBlockStart": {"contentBlockDelta", "contentBlockStop"},
    "contentBlockDelta": {"contentBlockDelta", "contentBlockStop"},
    "contentBlockStop": {"contentBlockStart", "contentBlockDelta", "messageStop"},
    "messageStop": {"metadata"},
    "metadata": set(),
    "exception": set(),
}


class ConverseGrammar:
    """Checks one stream, message by message."""

    def __init__(self) -> None:
        self._last = ""
        self._blocks = 0

    def check(self, message: StreamMessage) -> None:
        """Take the next message.

        Raises:
            GrammarError: It may not stand here.
        """
        if message.headers[":message-type"] != "event":
            if self._last in ("metadata", "exception"):
                raise GrammarError(f"an exception after {self._last}")
            self._last = "exception"
            return
        kind = message.headers[":event-type"]
        if kind not in _AFTER[self._last]:
            raise GrammarError(f"{kind} after {self._last or 'nothing'}")
        if kind.startswith("contentBlock"):
            self._check_block(kind, message.payload)
        self._last = kind

    def close(self) -> None:
        """Take the end of the stream.

        Raises:
            GrammarError: The answer is not whole.
        """
        if self._last not in ("metadata", "exception"):
            raise GrammarError(f"the stream ended after {self._last or 'nothing'}")

    def _check_block(self, kind: str, payload: bytes) -> None:
        block = msgspec.json.decode(payload, type=dict[str, msgspec.Raw])
        if int(bytes(block["contentBlockIndex"])) != self._blocks:
            raise GrammarError(f"{kind} is not of block {self._blocks}")
        if kind == "contentBlockStop":
            self._blocks += 1


def check(body: bytes) -> None:
    """Check a whole stream.

    Raises:
        GrammarError: It breaks the grammar.
        MalformedAnswerError: It is no event stream, or ends within a message.
    """
    reader, grammar = EventStreamReader(), ConverseGrammar()
    for message in reader.feed(body):
        grammar.check(message)
    reader.close()
    grammar.close()
