"""Chains: the subjects whose limits are counted in one place, and are held together."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

from meshgate.limits.amounts import Amounts
from meshgate.limits.limit import (
    LARGEST_AMOUNT,
    Enforcement,
    Limit,
    LimitKind,
    Subject,
    SubjectKind,
)

_TOKEN_KINDS = frozenset({LimitKind.TOKENS, LimitKind.INPUT_TOKENS, LimitKind.OUTPUT_TOKENS})
_OUTPUT_KINDS = frozenset({LimitKind.TOKENS, LimitKind.OUTPUT_TOKENS, LimitKind.COST})
_COUNTED_KINDS = _TOKEN_KINDS | _OUTPUT_KINDS


class Chain:
    """Subjects of one partition, each with its limits. Equal ones have the same identity.

    Attributes:
        partition: Where their counters lie.
        subjects: Those that have limits, narrowest first.
        identity: Names this chain with these limits.
        is_strict: Whether what a request writes must stay within what was held for it.
        most_cost: What one request may cost by the limits for a window, in nano-dollars.
    """

    def __init__(self, partition: str, subjects: Sequence[Subject]) -> None:
        self.partition = partition
        self.subjects = tuple(subject for subject in subjects if subject.limits)
        self.identity = hashlib.sha256(repr((partition, self.subjects)).encode()).hexdigest()[:24]
        kinds = {limit.kind for limit in self._limits()}
        self._requests = LimitKind.REQUESTS in kinds
        self._tokens = bool(kinds & _TOKEN_KINDS)
        self._cost = LimitKind.COST in kinds
        self.counts_output = bool(kinds & _OUTPUT_KINDS)
        self.counts_cost = self._cost
        self.counts_places = LimitKind.CONCURRENCY in kinds
        self.counts_use = bool(kinds - {LimitKind.CONCURRENCY})
        self.is_strict = any(map(_keeps_output_within, self._limits()))
        self.most_cost = self._least_amount(LimitKind.COST)
        self._most_output = self._least_amount(LimitKind.OUTPUT_TOKENS)
        self._most_tokens = self._least_amount(LimitKind.TOKENS)

    def _limits(self) -> Iterable[Limit]:
        return (limit for subject in self.subjects for limit in subject.limits)

    def use_of(self, amounts: Amounts) -> Amounts:
        """What of the amounts this chain counts in windows."""
        return Amounts(
            amounts.requests if self._requests else 0,
            amounts.input_tokens if self._tokens else 0,
            amounts.output_tokens if self._tokens else 0,
            amounts.cost_nanos if self._cost else 0,
        )

    def most_output(self, input_tokens: int) -> int:
        """How many tokens a request that reads so many may write, by the limits for a window.

        Not less than 0.
        """
        return max(0, min(self._most_output, self._most_tokens - input_tokens))

    def _least_amount(self, kind: LimitKind) -> int:
        amounts = [
            limit.amount
            for limit in self._limits()
            if limit.kind is kind and limit.enforcement is not Enforcement.SOFT
        ]
        return min(amounts, default=LARGEST_AMOUNT)

    @cached_property
    def use_subjects(self) -> tuple[Subject, ...]:
        """The subjects with the limits that have windows."""
        return self._with(lambda limit: limit.kind is not LimitKind.CONCURRENCY)

    @cached_property
    def place_subjects(self) -> tuple[Subject, ...]:
        """The subjects with the limits on concurrency."""
        return self._with(lambda limit: limit.kind is LimitKind.CONCURRENCY)

    def _with(self, wanted: Callable[[Limit], bool]) -> tuple[Subject, ...]:
        kept = (
            Subject(subject.kind, subject.id, tuple(filter(wanted, subject.limits)))
            for subject in self.subjects
        )
        return tuple(subject for subject in kept if subject.limits)


def _keeps_output_within(limit: Limit) -> bool:
    return limit.enforcement is Enforcement.STRICT and limit.kind in _COUNTED_KINDS


def chains_of(organization_id: str, subjects: Iterable[Subject]) -> tuple[Chain, ...]:
    """The chains of a principal: one within its organization, and one that all share."""
    within: list[Subject] = []
    wide: list[Subject] = []
    for subject in subjects:
        (wide if subject.kind is SubjectKind.EVERYONE else within).append(subject)
    chains = (Chain(organization_id, within), Chain("everyone", wide))
    return tuple(chain for chain in chains if chain.subjects)


def wide_chain(kind: SubjectKind, subject_id: str, limits: tuple[Limit, ...]) -> Chain | None:
    """The chain of a model or a target, if it has limits."""
    if not limits:
        return None
    subject = Subject(kind, subject_id, limits)
    return Chain(subject.name, (subject,))
