"""Rules for tests, and what comes of them."""

from meshgate.config.snapshot import DetectRule, PatternRule, PhraseRule
from meshgate.guardrails.checking import TextKind, TextSegment, check
from meshgate.guardrails.ruleset import Ruleset, rules_of


def ruleset(*rules, policy="p"):
    return Ruleset(rules_of(policy, rules))


def masking(*detectors):
    return ruleset(*(DetectRule("mask", detector) for detector in detectors))


EVERYTHING = ruleset(
    DetectRule("mask", "secrets"),
    DetectRule("mask", "pii"),
    PhraseRule("mask", ("blue bird", "Ärger", "bird cage", "鳥")),
    PatternRule("mask", "ticket", r"\bT-\d+", 12),
    PatternRule("observe", "word", r"(?m)^\w{1,9}$", 9),
    PatternRule("mask", "quoted", r"'[^']*'", 16),
)


def verdict(rules, text, kind=TextKind.WORDS):
    return check(rules, [TextSegment("here", kind, text)])


def masked(rules, text, kind=TextKind.WORDS):
    found = verdict(rules, text, kind)
    return found.changed[0].text if found.changed else text


def masked_json(rules, text):
    return masked(rules, text, TextKind.JSON)


def found(rules, text, kind=TextKind.WORDS):
    return [
        (each.rule.rule, each.detector, each.action.value, each.shadow, each.count)
        for each in verdict(rules, text, kind).findings
    ]
