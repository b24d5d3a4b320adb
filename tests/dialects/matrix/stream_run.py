"""A stream put through a reader and a caller's writer, with what both must keep to."""

import importlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import msgspec
from dialects.matrix.corpora import Recording
from dialects.matrix.pairs import CALLERS

from meshgate.dialects.answers import AnswerError, UpstreamErrorEvent
from meshgate.dialects.chat_dialect import StreamReader
from meshgate.dialects.grammar import EventGrammar, GrammarError
from meshgate.dialects.neutral import ChatEvent, Finished, ToolCallDelta
from meshgate.dialects.translation import CALLER_DIALECTS, translator
from meshgate.runtime.errors import UnsupportedError, UpstreamFailedError


@dataclass
class Run:
    """What came of a stream.

    Attributes:
        error: What the reader raised, or set.
    """

    events: list[ChatEvent] = field(default_factory=list)
    error: AnswerError | UpstreamErrorEvent | None = None
    done: bool = False


def run(reader: StreamReader, reads: Iterable[bytes]) -> Run:
    """Read a stream to its end, as the gateway does: up to the first error.

    Anything but an AnswerError is passed on, and fails the test.
    """
    result = Run()
    try:
        for data in reads:
            result.events += reader.feed(data)
            if reader.error is not None or reader.done:
                break
        result.events += reader.close()
    except AnswerError as error:
        result.error = error
    result.error = result.error or reader.error
    result.done = reader.done
    return result


@dataclass
class Passage:
    """What a caller of the upstream's own dialect gets of a stream."""

    body: bytes = b""
    error: AnswerError | UpstreamErrorEvent | None = None
    done: bool = False


def pass_on(recording: Recording, reads: Iterable[bytes]) -> Passage:
    """Pass a stream on, as the gateway does: up to the first error."""
    way = translator(recording.dialect, recording.dialect)
    tracker = way.stream(created=1, include_usage=True)
    passage = Passage()
    try:
        for data in reads:
            passage.body += tracker.feed(data)
            if tracker.error is not None or tracker.done:
                break
        passage.body += tracker.close()
    except AnswerError as error:
        passage.error = error
    passage.error = passage.error or tracker.error
    passage.done = tracker.done
    return passage


def like(result: Run, recording: Recording) -> Run:
    """A run as any other of the same recording is: ids that a reader made up are numbered."""
    made_up: dict[str, str] = {}
    events = []
    for event in result.events:
        told_id = getattr(event, "id", "")
        if told_id and told_id.encode() not in recording.stream:
            name = made_up.setdefault(told_id, f"made-up-{len(made_up)}")
            event = msgspec.structs.replace(event, id=name)  # noqa: PLW2901
        events.append(event)
    return replace(result, events=events)


def check(result: Run) -> None:
    """Check what came of a stream, whatever was wrong with it.

    Raises:
        GrammarError: It is neither a whole stream nor one that clearly failed.
    """
    grammar = EventGrammar()
    for event in result.events:
        grammar.check(event)
    is_whole = bool(result.events) and isinstance(result.events[-1], Finished)
    if is_whole != result.done and result.error is None:
        raise GrammarError("the reader does not know whether it is done")
    if result.done and result.error is not None:
        raise GrammarError("a stream that failed looks whole")
    if not result.done and result.error is None:
        raise GrammarError("a stream ended neither well nor with an error")


def check_for_callers(result: Run) -> None:
    """Check what the callers of all dialects are told of it.

    Raises:
        GrammarError: One of them is told what breaks the grammar of its dialect.
    """
    if not _has_calls_of_their_own(result):
        return
    for caller in CALLERS:
        if (check_stream := grammar_of(caller)) is not None:
            check_stream(told(caller, result))


def _has_calls_of_their_own(result: Run) -> bool:
    """Whether no two calls have one id: that is passed on, as it is the upstream's own fault."""
    ids = [event.id for event in result.events if isinstance(event, ToolCallDelta) and event.id]
    return len(ids) == len({*ids})


def told(caller: str, result: Run) -> bytes:
    """What a caller is told, up to the error event in its own dialect."""
    writer = CALLER_DIALECTS[caller].stream_writer(created=1, include_usage=True)
    written: list[bytes] = []
    is_whole = result.error is None
    try:
        written.extend(writer.write([event]) for event in result.events)
    except (AnswerError, UnsupportedError):  # what the upstream says cannot be told
        is_whole = False
    if not is_whole:
        written.append(_error_event(caller, written))
    return b"".join(written)


def _error_event(caller: str, written: list[bytes]) -> bytes:
    """The event that ends a stream; in some dialects its number follows the last one's."""
    errors = importlib.import_module(f"meshgate.dialects.{caller}.errors")
    last = next((part for part in reversed(written) if part), b"")
    is_numbered = len(inspect.signature(errors.write_error_event).parameters) > 1
    error = UpstreamFailedError("the upstream failed")
    event: bytes = errors.write_error_event(error, *([last] if is_numbered else []))
    return event


def grammar_of(dialect: str) -> Callable[[bytes], None] | None:
    """What checks the streams of a dialect; None where messages, not bytes, make them up."""
    try:
        module = importlib.import_module(f"meshgate.dialects.{dialect}.grammar")
    except ModuleNotFoundError:
        return None
    checker: Callable[[bytes], None] = module.check
    return checker
