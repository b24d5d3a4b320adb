"""What a request may use, as far as that can be known before it runs."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from meshgate.config.snapshot import Model, Snapshot
from meshgate.dialects import metering as dialects
from meshgate.dialects.answers import RequestHead
from meshgate.dialects.neutral import Usage
from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import LARGEST_AMOUNT, LARGEST_COST_NANOS
from meshgate.pricing.ceiling import ceiling
from meshgate.pricing.cost import NO_PARTS, cost_nanos
from meshgate.pricing.prices import TOKENS_PER_PRICE, Prices
from meshgate.routing.chain import Chain
from meshgate.routing.question import DIALECT_NAMES, Question
from meshgate.routing.usage_parts import parts_of
from meshgate.tokens.estimating import Estimator

STRICT_OUTPUT_TOKENS = 4096
"""What each choice of an answer may take under a strict limit if its caller sets no bound."""

MEDIA_ALLOWANCE = 64
"""How many times what is usual a picture or a document may take: its bytes do not bound it.

The largest picture takes 48,169 tokens of gpt-4o-mini, where 765 are usual.
"""

_MOST_CEILINGS = 10_000


class Demand(Struct, frozen=True):
    """What is set aside for a request.

    Attributes:
        amounts: Requests, tokens, money and a place.
        output_cap: What the upstream is told to write at most, each choice; None where nothing is
            written, or an estimate will do.
        is_strict: Whether no more than that may be used: it is an upper bound, not an estimate.
    """

    amounts: Amounts
    output_cap: int | None = None
    is_strict: bool = False


_NOTHING_BUT_A_REQUEST = Demand(Amounts(requests=1, concurrency=1))


class Demands:
    """Estimates demands.

    Args:
        estimator: Knows how long requests and answers are.
        snapshot: The configuration, as it is now.
    """

    def __init__(self, estimator: Estimator, snapshot: Callable[[], Snapshot]) -> None:
        self._estimator = estimator
        self._snapshot = snapshot
        self._revision = ""
        self._dearest: dict[tuple[str, str, bool], Prices | None] = {}

    def of(self, question: Question, chains: Sequence[Chain]) -> Demand:
        """What a request may use: an estimate, or the most it can, where a limit is strict.

        What is held for the answer is never more than what the limits allow for one request. Where
        that is too little, it is found out while the answer is written; under a strict limit the
        upstream is told to write no more.

        Args:
            question: What is asked.
            chains: Everyone whose limits may apply, whoever will answer.
        """
        if question.head.is_free:
            return _NOTHING_BUT_A_REQUEST
        for chain in chains:  # not any(): a generator takes longer than all of this
            if chain.is_strict:
                return self._upper_bound(question, chains)
        return self._estimate(question, chains)

    def more_output(self, head: RequestHead, output_tokens: int, input_tokens: int) -> Amounts:
        """So many tokens more, to be written by whoever is dearest.

        Args:
            head: What is asked.
            output_tokens: How many more.
            input_tokens: How long the question is: prices may depend on it.
        """
        prices = self._dearest_of(head, is_bound=False)
        cost = 0
        if prices is not None:
            nanos = prices.at("", input_tokens).output_nanos
            cost = -(-output_tokens * nanos // TOKENS_PER_PRICE)
        cost = min(cost, LARGEST_COST_NANOS)  # more cannot be counted
        return Amounts(output_tokens=output_tokens, cost_nanos=cost)

    def _estimate(self, question: Question, chains: Sequence[Chain]) -> Demand:
        head = question.head
        input_tokens = self._estimator.input_tokens(head.model, len(question.body))
        prices = self._dearest_of(head, is_bound=False)
        output_tokens = 0
        if head.max_output_tokens != 0:
            asked = head.max_output_tokens
            most = None if asked is None else asked * head.choices
            output_tokens = self._estimator.output_tokens(head.model, most)
            room = _room(prices, input_tokens, chains)
            output_tokens = max(1, min(output_tokens, room))
        return Demand(_amounts(prices, input_tokens, output_tokens, chains, head.asked))

    def _upper_bound(self, question: Question, chains: Sequence[Chain]) -> Demand:
        head = question.head
        input_tokens = self._estimator.input_upper_bound(len(question.body)) + _of_media(question)
        prices = self._dearest_of(head, is_bound=True)
        cap = None
        if head.max_output_tokens != 0:
            asked = head.max_output_tokens or STRICT_OUTPUT_TOKENS
            room = _room(prices, input_tokens, chains)
            cap = max(1, min(asked, room // head.choices))
        output_tokens = (cap or 0) * head.choices
        amounts = _amounts(prices, input_tokens, output_tokens, chains, head.asked)
        return Demand(amounts, cap, is_strict=True)

    def _dearest_of(self, head: RequestHead, *, is_bound: bool) -> Prices | None:
        """The highest prices of whoever may answer; None if none has a price."""
        snapshot = self._snapshot()
        if snapshot.revision != self._revision:
            self._dearest, self._revision = {}, snapshot.revision
        key = (head.model, head.service_tier, is_bound)
        if key not in self._dearest:
            if len(self._dearest) >= _MOST_CEILINGS:
                self._dearest.clear()  # tiers are the clients' words
            self._dearest[key] = _dearest(head, snapshot, is_bound=is_bound)
        return self._dearest[key]


def _amounts(
    prices: Prices | None,
    input_tokens: int,
    output_tokens: int,
    chains: Sequence[Chain],
    asked: Usage | None,
) -> Amounts:
    cost, parts = 0, NO_PARTS
    if asked is not None:
        input_tokens += asked.input_tokens
        output_tokens += asked.output_tokens
        parts = parts_of(asked)
    for chain in chains:
        if chain.counts_cost and prices is not None:
            cost = cost_nanos(prices, input_tokens, 0, 0, output_tokens, parts=parts)
            cost = min(cost, LARGEST_COST_NANOS)  # more cannot be counted
            break
    return Amounts(1, input_tokens, output_tokens, cost, 1)


def _room(prices: Prices | None, input_tokens: int, chains: Sequence[Chain]) -> int:
    """How many tokens may be written by the limits for a window; not less than 0."""
    room, most_cost = LARGEST_AMOUNT, LARGEST_AMOUNT
    for chain in chains:
        room = min(room, chain.most_output(input_tokens))
        most_cost = min(most_cost, chain.most_cost)
    if most_cost == LARGEST_AMOUNT or prices is None:
        return room
    dearest = prices.at("", input_tokens)
    if not dearest.output_nanos:
        return room
    left = (most_cost - dearest.request_nanos) * TOKENS_PER_PRICE
    return max(0, min(room, (left - input_tokens * dearest.input_nanos) // dearest.output_nanos))


def _of_media(question: Question) -> int:
    """What pictures, sounds and documents may take."""
    dialect, body = DIALECT_NAMES[question.dialect], question.body
    if question.head.max_output_tokens == 0 or dialect == "openai_completions":
        return 0  # embeddings and completions are of text
    if dialect in {"openai_chat", "openai_responses"} and not _mentions_media(body):
        return 0
    return MEDIA_ALLOWANCE * dialects.meter(dialect).countable_text(body).other_tokens


def _mentions_media(body: bytes) -> bool:
    """Whether anything but text may be in a chat: even JSON's escapes hide no other word."""
    return b"image" in body or b"audio" in body or b"file" in body or b"\\u" in body


def _dearest(head: RequestHead, snapshot: Snapshot, *, is_bound: bool) -> Prices | None:
    models = with_fallbacks(head.model, snapshot)
    prices = [target.prices for model in models for target in model.targets if target.prices]
    return ceiling(prices, head.service_tier, is_bound=is_bound)


def with_fallbacks(name: str, snapshot: Snapshot) -> Sequence[Model]:
    """The model and all that may answer in its place."""
    found: dict[str, Model] = {}
    todo = [name]
    while todo:
        model = snapshot.models.get(todo.pop())
        if model is not None and model.name not in found:
            found[model.name] = model
            todo += model.fallbacks
    return tuple(found.values())
