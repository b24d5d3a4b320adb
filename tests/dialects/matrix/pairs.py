"""Who is judged: callers that can be translated for, and the upstreams of all dialects."""

from meshgate.dialects.chat_dialect import ChatDialect
from meshgate.dialects.translation import CALLER_DIALECTS, UPSTREAM_DIALECTS, translator
from meshgate.runtime.errors import UnsupportedError


def _is_translated(caller: str, upstream: str) -> bool:
    try:
        translator(caller, upstream)
    except UnsupportedError:
        return False
    return True


PAIRS = [
    (caller, upstream)
    for caller in CALLER_DIALECTS
    for upstream in UPSTREAM_DIALECTS
    if _is_translated(caller, upstream)
]
TRANSLATED = [pair for pair in PAIRS if pair[0] != pair[1]]
CALLERS = sorted({caller for caller, _ in PAIRS})
WRITTEN_BY_CALLERS = [
    name for name, dialect in CALLER_DIALECTS.items() if isinstance(dialect, ChatDialect)
]
