"""What the fake upstream can be told to do. Everything here travels as JSON too."""

import re
from typing import Any, Literal

import msgspec

DEFAULT_TEXT = "The quick brown fox jumps over the lazy dog."
_DIRECTIVE = re.compile(r"<<upstream (.*?)>>", re.DOTALL)


class _Plan(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type"
):
    """Unknown fields are errors: a misspelt fault must not pass as good behaviour."""


class Refuse(_Plan, frozen=True, tag="refuse"):
    """Answers with an error status instead of 200.

    Args:
        status: The HTTP status.
        body: `openai` is the API's own error JSON; `text` is `message` as it stands.
        message: For people.
        error_type: OpenAI's `error.type`; by the status when None.
        code: OpenAI's `error.code`.
        param: OpenAI's `error.param`.
        retry_after: The `retry-after` header, as it stands.
    """

    status: int = 500
    body: Literal["openai", "html", "text", "empty"] = "openai"
    message: str = "the fake upstream was told to refuse"
    error_type: str | None = None
    code: str | None = None
    param: str | None = None
    retry_after: str | None = None


class Close(_Plan, frozen=True, tag="close"):
    """Closes the connection without a byte of answer."""

    by: Literal["eof", "reset"] = "eof"


class Hang(_Plan, frozen=True, tag="hang"):
    """Says nothing more, until the client leaves.

    Args:
        at: `head` before the head, `body` after it, `event` after some events of a stream.
        after_events: How many events come first, with `event`.
    """

    at: Literal["head", "body", "event"] = "head"
    after_events: int = 1


class Cut(_Plan, frozen=True, tag="cut"):
    """Breaks off: a stream after some events, a plain answer in the middle of its body.

    Args:
        after_events: How many events come first; the head always comes.
        by: `eof` leaves the HTTP body unfinished, `reset` sends a TCP reset, `end` finishes the
            HTTP body as if nothing were missing.
    """

    after_events: int = 1
    by: Literal["eof", "reset", "end"] = "eof"


class ErrorEvent(_Plan, frozen=True, tag="error_event"):
    """Sends an error event in a stream, then ends it properly without `[DONE]`.

    Args:
        after_events: How many events come first; 0 makes the error the first one.
        message: OpenAI's `error.message`.
        error_type: OpenAI's `error.type`.
        code: OpenAI's `error.code`.
    """

    after_events: int = 1
    message: str = "the fake upstream was told to fail"
    error_type: str = "server_error"
    code: str | None = None


class Endless(_Plan, frozen=True, tag="endless"):
    """Streams content events for as long as the client reads."""


class SlowHead(_Plan, frozen=True, tag="slow_head"):
    """Writes the head byte by byte, `interval_seconds` apart."""

    interval_seconds: float = 0.001


class Lie(_Plan, frozen=True, tag="lie"):
    """Answers 200 with something that is not what was asked for.

    Args:
        kind: `error_json`, `html` and `empty` are bodies; `json_for_stream` and
            `stream_for_plain` swap the forms; the two `content_length` ones declare 100 bytes too
            many or 10 too few; `truncated_json`, `invalid_json` and `invalid_utf8` spoil the body
            of a plain answer and the second event of a stream.
    """

    kind: Literal[
        "error_json",
        "html",
        "empty",
        "json_for_stream",
        "stream_for_plain",
        "content_length_too_long",
        "content_length_too_short",
        "truncated_json",
        "invalid_json",
        "invalid_utf8",
    ]


Fault = Refuse | Close | Hang | Cut | ErrorEvent | Endless | SlowHead | Lie


class Framing(_Plan, frozen=True):
    """How the events of a stream are written.

    Args:
        newline: Ends lines.
        start: What comes before the first event.
        comments: `before_events` puts a keep-alive comment before each event.
        split_bytes: Writes pieces of that many bytes, each an HTTP chunk of its own.
        events_per_write: Writes that many events as one HTTP chunk.
        done: Whether `[DONE]` ends the stream.
    """

    newline: Literal["\n", "\r\n", "\r"] = "\n"
    start: Literal["nothing", "bom"] = "nothing"
    comments: Literal["none", "before_events"] = "none"
    split_bytes: int | None = None
    events_per_write: int = 1
    done: Literal["sent", "missing"] = "sent"


class Usage(_Plan, frozen=True):
    """Tokens, in OpenAI's sense: the cached ones are among the input, reasoning in the output."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0


class ToolCall(_Plan, frozen=True):
    """A tool that the model asks for; `arguments` need not be JSON."""

    name: str
    arguments: str = "{}"


class Behaviour(_Plan, frozen=True, kw_only=True):
    """One answer: what is said, when, how it is written, and what goes wrong.

    Args:
        text: The content.
        text_bytes: Repeats `text` (ASCII) up to that length.
        says: `echo` makes the content a JSON object of what arrived: method, path, headers, body.
        chunks: How many content events a stream cuts the text into.
        tool_calls: Asked for instead of text; None leaves it to the request.
        thought: What a model that shows its thoughts thinks first.
        signature: What signs the first call, or the text, in base64.
        call_numbers: Whether streamed fragments of tool calls say which call they belong to.
        finish_reason: OpenAI's word; None derives it.
        usage: None counts words.
        usage_sent: `asked` sends it with plain answers, and in streams that include it.
        headers: More response headers; they replace those of the same name.
        head_delay_seconds: Before the head.
        event_delay_seconds: Before each event of a stream.
        framing: How a stream is written.
        fault: What goes wrong.
    """

    text: str = DEFAULT_TEXT
    text_bytes: int | None = None
    says: Literal["text", "echo"] = "text"
    chunks: int = 4
    tool_calls: tuple[ToolCall, ...] | None = None
    thought: str = ""
    signature: str = ""
    call_numbers: Literal["told", "missing"] = "told"
    finish_reason: str | None = None
    usage: Usage | None = None
    usage_sent: Literal["asked", "always", "never"] = "asked"
    headers: dict[str, str] = {}
    head_delay_seconds: float = 0.0
    event_delay_seconds: float = 0.0
    framing: Framing = Framing()
    fault: Fault | None = None


class Match(_Plan, frozen=True, kw_only=True):
    """Which requests a script is for; what is None matches all.

    Args:
        text: Occurs in the prompt or the input.
        model: The `model` of the request.
        path: The end of the path, for instance `/embeddings`.
        header: A `(name, value)` pair.
        form: Whether the request asks for a stream.
    """

    text: str | None = None
    model: str | None = None
    path: str | None = None
    header: tuple[str, str] | None = None
    form: Literal["plain", "streamed"] | None = None


class Script(_Plan, frozen=True, kw_only=True):
    """A behaviour, for whom, and how many times (None: always)."""

    behaviour: Behaviour
    match: Match = Match()
    times: int | None = None


def directive(behaviour: Behaviour, *, match: Match | None = None, times: int | None = None) -> str:
    """A piece of prompt that tells the fake upstream what to do with the request it stands in."""
    script = Script(behaviour=behaviour, match=match or Match(), times=times)

    return f"<<upstream {msgspec.json.encode(script).decode()}>>"


def directives(prompt: str) -> list[str]:
    """The directives in a prompt, as JSON."""
    return _DIRECTIVE.findall(prompt)


def read_script(text: str | bytes) -> Script:
    """Reads the JSON of a script.

    Raises:
        msgspec.DecodeError: It is none.
    """
    return msgspec.json.decode(text, type=Script)


def prompt(body: Any) -> str:
    """All text of a request's messages or input, without a directive's JSON being split."""
    if not isinstance(body, dict):
        return ""

    names = ("messages", "input", "prompt", "contents", "requests")
    return "\n".join(_strings([body.get(name) for name in names]))


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return _strings([value.get("content"), value.get("text"), value.get("parts")])
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return []
