"""What becomes of a feature between a caller of one dialect and an upstream of another."""

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dialects.matrix import plain_form
from dialects.matrix.allowances import THINKING, approximation, is_addition, is_hint
from dialects.matrix.features import Feature
from dialects.matrix.golden import GOLDEN
from dialects.matrix.vocabulary import HELLO
from dialects.matrix.ways import InOtherWords, holds

from meshgate.dialects.neutral import ChatRequest
from meshgate.dialects.translation import CALLER_DIALECTS, UPSTREAM_DIALECTS, translator
from meshgate.runtime.errors import InvalidRequestError, UnsupportedError

_TARGET = "target"
# What may be said beside Converse's own members differs by the model: Claude is told most.
_NAMED_BY_URL = ("gemini_generate",)
# Early models are told how much to think, and later ones how hard.
_SPOKEN_TO = {
    "anthropic_messages": ("claude-sonnet-4-5", "claude-opus-5"),
    "gemini_generate": ("gemini-2.5-pro", "gemini-3-pro"),
}
_TARGETS = {
    "bedrock_converse": "anthropic.claude-sonnet-4-5-v1:0",
    "anthropic_messages": "claude-sonnet-4-5",
}


class Outcome(enum.Enum):
    """What became of a feature; all but LOST are as they should be."""

    CARRIED = "carried"
    APPROXIMATED = "approximated"
    LEFT_OUT = "left out"
    REFUSED = "refused"
    UNSAID = "unsaid"
    PASSED = "passed"
    LOST = "lost"


@dataclass(frozen=True)
class Judgement:
    """An outcome, and what is to be known of it: the field that was refused, or what was lost."""

    outcome: Outcome
    note: str = ""


def judged(caller: str, upstream: str, feature: Feature) -> Judgement:
    """Put a feature through and see what arrives."""
    body = body_of(caller, feature)
    if body is None:
        return Judgement(Outcome.UNSAID)
    if caller == upstream:
        return _passed(caller, feature, body)
    try:
        asked = _asked(caller, feature, body)  # refuses what the neutral form has no words for
        if asked is None:
            return Judgement(Outcome.UNSAID)
        written = translator(caller, upstream).request(body, _target(upstream), stream=False).body
    except UnsupportedError as error:
        return _refusal(error)
    if feature.request is None:
        return _extra(caller, upstream, feature, written)
    return _compared(upstream, feature, asked, written)


def _passed(dialect: str, feature: Feature, body: bytes) -> Judgement:
    """Whether nothing but the model's name is changed where both sides speak the same dialect."""
    if not can_say(dialect, feature):
        return Judgement(Outcome.UNSAID)
    written = translator(dialect, dialect).request(body, "target", stream=False).body
    if written in (body.replace(b"public", b"target", 1), _body_without_model(dialect, body)):
        return Judgement(Outcome.PASSED)
    if dialect == "meshgate_chat":  # which is written anew, as messages are
        read = CALLER_DIALECTS[dialect].read_request
        return compared(plain_form.of_request(read(body)), plain_form.of_request(read(written)))
    return Judgement(Outcome.LOST, f"{body!r} -> {written!r}")


def judged_writer(upstream: str, feature: Feature) -> Judgement:
    """See what an upstream's writer makes of a feature, whoever asks for it."""
    if feature.request is None:
        return Judgement(Outcome.UNSAID)
    write = UPSTREAM_DIALECTS[upstream].write_request
    try:
        written = write(feature.request, _target(upstream), stream=False)
    except UnsupportedError as error:
        return _refusal(error)
    return _compared(upstream, feature, feature.request, written)


def body_of(caller: str, feature: Feature) -> bytes | None:
    """A feature in a caller's words; None where they have none for it."""
    dialect = CALLER_DIALECTS[caller]
    write = getattr(dialect, "write_request", None)
    if write is None:
        return None
    body = _body_of(write, caller, feature)
    return body if body is None else _naming_a_model(caller, body, "public")


def _body_of(write: Any, caller: str, feature: Feature) -> bytes | None:
    if feature.request is not None:
        return _as_said_best(write, caller, feature, feature.request)
    if caller not in feature.members:
        return None
    body = json.loads(write(HELLO, "public", stream=False))
    return _compact(_merged(body, feature.members[caller]))


def _as_said_best(write: Any, caller: str, feature: Feature, request: ChatRequest) -> bytes | None:
    """What is said to the first model that is told the feature as it is, or else to any."""
    said: bytes | None = None
    wanted = plain_form.of_request(request)
    for model in _SPOKEN_TO.get(caller, ("public",)):
        try:
            body = write(request, model, stream=False).replace(model.encode(), b"public", 1)
            read = CALLER_DIALECTS[caller].read_request(_naming_a_model(caller, body, "public"))
        except InvalidRequestError:
            continue
        if compared(wanted, plain_form.of_request(read)).outcome is Outcome.CARRIED:
            return body
        said = said or body
    return said


def _target(upstream: str) -> str:
    return _TARGETS.get(upstream, _TARGET)


def _asked(caller: str, feature: Feature, body: bytes) -> ChatRequest | None:
    """What a caller's words say; None where that is not the feature."""
    try:
        request = CALLER_DIALECTS[caller].read_request(body)
    except UnsupportedError:
        raise
    except InvalidRequestError:
        return None
    return request if _is_said(feature, request) else None


def can_say(dialect: str, feature: Feature) -> bool:
    """Whether callers of a dialect can ask for a feature."""
    body = body_of(dialect, feature)
    if body is None:
        return False
    try:
        return _asked(dialect, feature, body) is not None
    except UnsupportedError:
        return True  # but not in the neutral form


def _is_said(feature: Feature, request: ChatRequest) -> bool:
    """Whether the words say the feature, and not only what it stands out against."""
    if feature.request is None:
        return True
    wanted, said = plain_form.of_request(feature.request), plain_form.of_request(request)
    if any(name in wanted and name not in said for name in THINKING):
        return False  # but the nearest to it that these callers have words for
    return compared(wanted, said).outcome in (Outcome.CARRIED, Outcome.APPROXIMATED)


def _written(write: Any, request: ChatRequest) -> bytes:
    body: bytes = write(request, "public", stream=False)
    return body


def _refusal(error: UnsupportedError) -> Judgement:
    if not error.field or error.field not in error.message:
        return Judgement(Outcome.LOST, f"a refusal that names no field: {error.message}")
    return Judgement(Outcome.REFUSED, error.field)


def _extra(caller: str, upstream: str, feature: Feature, written: bytes) -> Judgement:
    """Of what the neutral form does not know: whether anything of it has arrived."""
    plain = (
        translator(caller, upstream)
        .request(_plain_body(caller), _target(upstream), stream=False)
        .body
    )
    if written != plain:
        return Judgement(Outcome.CARRIED)
    if feature.is_hint:
        return Judgement(Outcome.LEFT_OUT)
    return Judgement(Outcome.LOST, f"nothing of {feature.members[caller]} has arrived")


def _plain_body(caller: str) -> bytes:
    body = _written(CALLER_DIALECTS[caller].write_request, HELLO)  # type: ignore[attr-defined]
    return _naming_a_model(caller, body, "public")


def _compared(upstream: str, feature: Feature, asked: ChatRequest, written: bytes) -> Judgement:
    read = getattr(UPSTREAM_DIALECTS[upstream], "read_request", None)
    if read is None:
        return _of_unread(upstream, feature, asked, written)
    try:
        arrived = plain_form.of_request(read(_naming_a_model(upstream, written, _TARGET)))
    except InvalidRequestError as error:
        return Judgement(Outcome.LOST, f"its own reader says: {error.message}")
    sent = plain_form.of_request(asked)
    if b'"status":"incomplete"' in written and _is_failure(sent, arrived):
        return Judgement(Outcome.APPROXIMATED, "as an incomplete result")
    return compared(sent, arrived, may_be_left_out=feature.is_hint)


def _is_failure(sent: Mapping[str, Any], arrived: Mapping[str, Any]) -> bool:
    """Whether nothing but that a tool failed is missing."""
    missing = {path for path in sent if sent[path] != arrived.get(path)}
    return bool(missing) and all(path.endswith(".is_error") for path in missing)


def compared(
    sent: Mapping[str, Any], arrived: Mapping[str, Any], *, may_be_left_out: bool = False
) -> Judgement:
    """Compare what was asked for with what has arrived."""
    lost = {path for path in sent if sent[path] != arrived.get(path)}
    added = {path for path in arrived if path not in sent and not is_addition(path, arrived[path])}
    if not lost and not added:
        return Judgement(Outcome.CARRIED)
    if words := approximation(lost, added, sent, arrived):
        return Judgement(Outcome.APPROXIMATED, words)
    if may_be_left_out and is_hint(sent, arrived):
        return Judgement(Outcome.LEFT_OUT)
    differences = [f"{path}: {sent.get(path)!r} -> {arrived.get(path)!r}" for path in lost | added]
    return Judgement(Outcome.LOST, "; ".join(sorted(differences)))


def _of_unread(upstream: str, feature: Feature, asked: ChatRequest, written: bytes) -> Judgement:
    """What an upstream is told whose requests nobody here reads.

    What it is to be told is known of the feature itself. Where a caller has said it in other words,
    or has said more, it is judged by what the caller's words lack, and by what the writer makes of
    the feature.
    """
    wanted = plain_form.of_request(feature.request) if feature.request else {}
    if (said := plain_form.of_request(asked)) == wanted:
        return _by_golden_members(upstream, feature, written)
    in_words, by_writer = compared(wanted, said), judged_writer(upstream, feature)
    worse = (Outcome.LOST, Outcome.REFUSED, Outcome.LEFT_OUT)
    is_carried = in_words.outcome is Outcome.CARRIED
    return by_writer if is_carried or by_writer.outcome in worse else in_words


def _by_golden_members(upstream: str, feature: Feature, written: bytes) -> Judgement:
    """Of an upstream whose requests nobody here reads: by what its documentation says."""
    golden = GOLDEN.get(upstream, {}).get(feature.name)
    body = json.loads(written)
    if golden is not None and holds(body, golden):
        if isinstance(golden, InOtherWords):
            return Judgement(Outcome.APPROXIMATED, golden.words)
        return Judgement(Outcome.CARRIED)
    if feature.is_hint and body == _without(upstream, feature):
        return Judgement(Outcome.LEFT_OUT)
    return Judgement(Outcome.LOST, f"{golden} does not stand in {body}")


def _without(upstream: str, feature: Feature) -> Any:
    write = UPSTREAM_DIALECTS[upstream].write_request
    return json.loads(write(feature.without, _target(upstream), stream=False))


def _naming_a_model(dialect: str, body: bytes, model: str) -> bytes:
    """A body as the gateway reads it: where the URL names the model, its edge has put it there."""
    if dialect not in _NAMED_BY_URL:
        return body
    return _compact({"model": model, **json.loads(body)})


def _body_without_model(dialect: str, body: bytes) -> bytes:
    if dialect not in _NAMED_BY_URL:
        return body
    members = json.loads(body)
    del members["model"]
    return _compact(members)


def _compact(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def _merged(body: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in more.items():
        old = body.get(name)
        if isinstance(old, dict) and isinstance(value, Mapping):
            body[name] = _merged(old, value)
        else:
            body[name] = value
    return body
