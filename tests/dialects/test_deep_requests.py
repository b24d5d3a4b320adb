"""Requests that are nested as deep as can be read."""

import json

import msgspec
import pytest
from dialects.checking import MASK, SECRET

from meshgate.dialects.inspection import inspection
from meshgate.runtime.errors import InvalidRequestError

MORE_THAN_CAN_BE_READ = 100_000
# Each has a place for a value of any depth.
REQUESTS = {
    "anthropic_messages": '{"messages":[{"role":"user","content":[{"type":"tool_use","input":%s}]}]}',
    "openai_chat": '{"messages":[{"role":"user","content":"x","more":%s}]}',
    "openai_responses": '{"input":[{"type":"message","content":"x","more":%s}]}',
    "gemini_generate": '{"contents":[{"parts":[{"functionCall":{"args":%s}}]}]}',
    "gemini_token_count": '{"generateContentRequest":{"contents":[{"parts":[%s]}]}}',
    "gemini_embeddings": '{"requests":[{"content":{"parts":[{"text":"x","more":%s}]}}]}',
}


def nested(request, depth):
    opening, closing = '{"a":["b",' * depth, ',1],"c":{}}' * depth
    return (request % f'{opening}"{SECRET}"{closing}').encode()


def deepest(request):
    """How deep it can be nested and still be read."""
    least, most = 1, MORE_THAN_CAN_BE_READ
    while most - least > 1:
        middle = (least + most) // 2
        try:
            msgspec.json.decode(nested(request, middle))
        except RecursionError:
            most = middle
        else:
            least = middle
    return least


@pytest.mark.parametrize("dialect", REQUESTS)
def test_what_can_be_read_can_be_looked_at_or_is_the_callers_mistake(dialect):
    request = REQUESTS[dialect]
    most = deepest(request)

    seen = []
    for depth in range(most - 30, most + 10):
        try:
            cut = inspection(dialect).cut_request(nested(request, depth))
        except InvalidRequestError:
            continue
        seen.append(any(SECRET in each.text for each in cut.segments))

    assert len(seen) > 1
    assert all(seen)


def test_what_is_masked_in_the_deep_stands_where_it_stood():
    request = REQUESTS["gemini_generate"]
    most = deepest(request)
    bodies = [nested(request, depth) for depth in range(most - 30, most - 10)]

    for body in bodies:
        cut = inspection("gemini_generate").cut_request(body)
        texts = {each.locator: each.text.replace(SECRET, MASK) for each in cut.segments}
        assert cut.masked(texts) == body.replace(SECRET.encode(), MASK.encode())


@pytest.mark.parametrize(
    "value",
    [[], {}, [[], {}, [1, 2.5, None, True, 'a"b\u00e9']], {"a": {"b": [], "": "\n"}, "c": 1}],
)
def test_the_deep_is_written_as_all_else_is(value):
    request = REQUESTS["openai_chat"]
    inner = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    most = deepest(request)

    for depth in range(most - 30, most - 10):
        body = nested(request, depth).replace(f'"{SECRET}"'.encode(), inner.encode())
        texts = [each.text for each in inspection("openai_chat").cut_request(body).segments]
        assert body.decode().partition('"more":')[2][:-3] in texts
