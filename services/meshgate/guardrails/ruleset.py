"""The rules that hold for a text, ready to be looked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from meshgate.config.snapshot import DetectRule, GuardrailRule, PatternRule, PhraseRule
from meshgate.guardrails.detectors import DETECTORS
from meshgate.guardrails.findings import Action, RuleName
from meshgate.guardrails.matching import Kind, Matcher, PatternMatcher
from meshgate.guardrails.phrases import PhraseMatcher
from meshgate.guardrails.sweep import Sweep


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done about what some matchers find."""

    name: RuleName
    action: Action
    shadow: bool
    matchers: tuple[Matcher, ...]


class Ruleset:
    """Several rules.

    Attributes:
        rules: In order.
        matchers: Those of all rules, each once, with the rules that it finds something for.
        sweep: Looks for what all patterns among them find; None if there are none.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self.matchers = _by_matcher(self.rules)
        self.sweep = _sweep(
            tuple(each for each, _ in self.matchers if isinstance(each, PatternMatcher))
        )

    @property
    def reach(self) -> int:
        """The most bytes of a text that are held back."""
        return max((matcher.reach for matcher, _ in self.matchers), default=0)

    @cached_property
    def without_masks(self) -> "Ruleset":
        """The same rules, for what cannot be masked: what would be is observed."""
        return Ruleset(
            replace(rule, action=Action.OBSERVE) if rule.action is Action.MASK else rule
            for rule in self.rules
        )


def rules_of(policy: str, rules: Sequence[GuardrailRule]) -> tuple[Rule, ...]:
    """The rules of one phase of a policy."""
    return tuple(_rule(policy, number, rule) for number, rule in enumerate(rules))


def _rule(policy: str, number: int, rule: GuardrailRule) -> Rule:
    name = RuleName(policy, f"{_detector(rule)}/{number}")
    return Rule(name, Action(rule.action), rule.shadow, _matchers(rule))


def _detector(rule: GuardrailRule) -> str:
    if isinstance(rule, DetectRule):
        return rule.detect
    return rule.name if isinstance(rule, PatternRule) else PhraseMatcher.kind.detector


def _matchers(rule: GuardrailRule) -> tuple[Matcher, ...]:
    if isinstance(rule, DetectRule):
        return DETECTORS[rule.detect]
    if isinstance(rule, PhraseRule):
        return (_phrase_matcher(rule.phrases),)
    return (_pattern_matcher(rule.name, rule.pattern, rule.max_length),)


# A change of the configuration leaves most rules as they are.
@lru_cache(maxsize=256)
def _phrase_matcher(phrases: tuple[str, ...]) -> Matcher:
    return PhraseMatcher(phrases)


@lru_cache(maxsize=1024)
def _pattern_matcher(name: str, pattern: str, max_length: int) -> Matcher:
    return PatternMatcher(Kind.named(name), pattern, max_length)


@lru_cache(maxsize=256)
def _sweep(matchers: tuple[PatternMatcher, ...]) -> Sweep | None:
    return Sweep(matchers) if matchers else None


def _by_matcher(rules: Sequence[Rule]) -> tuple[tuple[Matcher, tuple[Rule, ...]], ...]:
    found: dict[int, tuple[Matcher, list[Rule]]] = {}
    for rule in rules:
        for matcher in rule.matchers:
            found.setdefault(id(matcher), (matcher, []))[1].append(rule)
    return tuple((matcher, tuple(rules)) for matcher, rules in found.values())
