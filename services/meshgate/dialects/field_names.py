"""Fields of a request by the names that its caller has for them.

A writer refuses what its upstream cannot be told, and knows the field by the neutral form's name only.
What it says is put into the caller's own words before he hears it.
"""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw

from meshgate.dialects.neutral import ChatRequest
from meshgate.runtime.errors import InvalidRequestError

_EXTRAS = msgspec.json.Decoder(dict[str, Raw])
_NUMBER = re.compile(r"\[\d+\]")


def as_said(
    error: InvalidRequestError, request: ChatRequest, own_names: Mapping[str, str]
) -> InvalidRequestError:
    """The error of a writer, with its field as the caller of the request has it.

    `own_names` are the caller's, by the neutral ones; `[]` stands for any place in a list. A name
    counts for all that is within it, unless that has one of its own.
    """
    field = error.field
    if field is None or field in _extras(request):
        return error
    own = own_name(_said(field, request), own_names)
    if own == field:
        return error
    message = error.message.replace(f"'{field}'", f"'{own}'")
    told = type(error)(message, field=own)
    told.values = error.values
    return told


def own_name(field: str, own_names: Mapping[str, str]) -> str:
    """A caller's name for a field; the field's own where he has no other."""
    head, rest = field, ""
    while head:
        if (own := own_names.get(_NUMBER.sub("[]", head))) is not None:
            for place in _NUMBER.findall(head):
                own = own.replace("[]", place, 1)
            return own + rest
        head, dot, last = head.rpartition(".")
        rest = f"{dot}{last}{rest}"
    return field


def _said(field: str, request: ChatRequest) -> str:
    """An effort may have been made of a budget that the caller has set."""
    is_made = field == "reasoning_effort" and request.reasoning_effort is None
    return "reasoning_budget_tokens" if is_made else field


def _extras(request: ChatRequest) -> Mapping[str, Raw]:
    """Members that the neutral form does not know: they have the caller's names already."""
    return _EXTRAS.decode(request.extra_json) if request.extra_json else {}
