"""The grammar of streams of messages: what a client of Anthropic's API may rely on.

- every event has a name, which is its type;
- `message_start` comes first, `message_stop` last, and once each; or else an error comes last;
- blocks come one after the other, numbered from 0, and only what belongs to its type is added to one;
- the ids of tool calls differ;
- thinking ends with its signature;
- one `message_delta` with a stop reason follows the last block, and nothing but `message_stop` follows it.
"""

from typing import Any

import msgspec

from meshgate.dialects import sse
from meshgate.dialects.grammar import GrammarError
from meshgate.dialects.sse_grammar import SseGrammar

_DELTAS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "redacted_thinking": set[str](),
    "tool_use": {"input_json_delta"},
}
_REASONS = frozenset(
    {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"}
    | {"model_context_window_exceeded"}
)


class MessageGrammar(SseGrammar):
    """Checks one stream, as bytes, wherever it is split."""

    end = "message_stop"

    def __init__(self) -> None:
        super().__init__()
        self._stage = "begin"
        self._count = 0
        self._block: str | None = None
        self._is_signed = False
        self._ids: set[str] = set()

    def _check(self, event: sse.Event) -> None:
        try:
            said = msgspec.json.decode(event.data, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise GrammarError("an event is no object") from error
        kind = said.get("type")
        if event.name.decode() != kind:
            raise GrammarError(f"{kind} has another name")
        checks = {
            "message_start": self._message_start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
            "error": self._error,
            "ping": _nothing,
        }
        check = checks.get(str(kind))
        if check is None:
            raise GrammarError(f"{kind} is not known")
        check(said)

    def _expect(self, *, stage: str, is_open: bool) -> None:
        if self._stage != stage or (self._block is not None) != is_open:
            raise GrammarError(f"an event is out of place: {self._stage}, {self._block}")

    def _message_start(self, said: dict[str, Any]) -> None:
        self._expect(stage="begin", is_open=False)
        message = said["message"]
        if message["content"] or message["role"] != "assistant" or message["type"] != "message":
            raise GrammarError("the message does not begin empty")
        if not {"id", "model", "usage", "stop_reason", "stop_sequence"} <= message.keys():
            raise GrammarError("the message lacks a member")
        self._stage = "blocks"

    def _block_start(self, said: dict[str, Any]) -> None:
        self._expect(stage="blocks", is_open=False)
        self._check_index(said)
        block = said["content_block"]
        self._block, self._is_signed = block["type"], False
        if self._block not in _DELTAS:
            raise GrammarError(f"a block of type {self._block}")
        if self._block == "tool_use":
            if not block["name"] or not block["id"] or block["id"] in self._ids:
                raise GrammarError("a tool call has no name, or the id of another one")
            self._ids.add(block["id"])

    def _block_delta(self, said: dict[str, Any]) -> None:
        self._expect(stage="blocks", is_open=True)
        self._check_index(said)
        delta = said["delta"]
        if delta["type"] not in _DELTAS[str(self._block)]:
            raise GrammarError(f"{delta['type']} in {self._block}")
        if self._is_signed:
            raise GrammarError("a thought goes on after its signature")
        self._is_signed = delta["type"] == "signature_delta"

    def _block_stop(self, said: dict[str, Any]) -> None:
        self._expect(stage="blocks", is_open=True)
        self._check_index(said)
        if self._block == "thinking" and not self._is_signed:
            raise GrammarError("a thought ends without its signature")
        self._block = None
        self._count += 1

    def _check_index(self, said: dict[str, Any]) -> None:
        if said["index"] != self._count:
            raise GrammarError(f"block {said['index']} in place of {self._count}")

    def _message_delta(self, said: dict[str, Any]) -> None:
        self._expect(stage="blocks", is_open=False)
        if said["delta"]["stop_reason"] not in _REASONS:
            raise GrammarError("the stop reason is not known")
        if not isinstance(said["usage"]["output_tokens"], int):
            raise GrammarError("the usage is not told")
        self._stage = "told"

    def _message_stop(self, _said: dict[str, Any]) -> None:
        self._expect(stage="told", is_open=False)
        self._ended = True

    def _error(self, said: dict[str, Any]) -> None:
        if not (said["error"]["type"] and said["error"]["message"]):
            raise GrammarError("an error says nothing")
        self._ended = True


def check(stream: bytes) -> None:
    """Check a whole stream.

    Raises:
        GrammarError: It breaks the grammar.
    """
    grammar = MessageGrammar()
    grammar.feed(stream)
    grammar.close()


def _nothing(_said: dict[str, Any]) -> None: ...
