"""The next question: the one whose answer could raise the urgency most.

For every rule that is undecided and already touched by something the patient has, each of
its unknown findings is tried as present; a finding that makes the rule fire is worth the
levels of urgency gained, weighed by how many rules it would make fire.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from knowledge_base.lexicon.findings import Lexicon
from knowledge_base.lexicon.questions import questions
from knowledge_base.rules.conditions import finding_truth
from knowledge_base.rules.facts import Facts, Observation
from knowledge_base.rules.ruleset import Rule

_LEVELS = 5
_ASKABLE = {
    "symptom": 1.0, "sign": 0.8, "event": 0.8, "state": 0.6, "exposure": 0.5, "condition": 0.3,
    "request": 0.1,
}  # fmt: skip
"""How well a patient can answer, by kind: what is felt before what somebody would conclude."""

CHOICES = (
    ("present", {"zh": "有", "en": "Yes"}),
    ("absent", {"zh": "没有", "en": "No"}),
    ("unknown", {"zh": "不清楚", "en": "Not sure"}),
)


@dataclass(frozen=True)
class Question:
    """A question about one finding, and the rule that wants to know."""

    code: str
    zh: str
    en: str
    rule: Rule


def next_question(
    facts: Facts, level: int, undecided: Iterable[Rule], lexicon: Lexicon
) -> Question | None:
    """The best question, or None when no single answer could raise the urgency.

    `level` is the disposition so far. Findings whose status was answered, "unknown" too,
    are not asked again.
    """
    wordings = questions()
    gains: dict[str, tuple[float, Rule]] = {}
    for rule in undecided:
        if rule.disposition >= level or not _touched(rule, facts):
            continue
        for code in sorted(rule.needs):
            if code in facts.observations or code in facts.history or code not in wordings:
                continue
            askable = _ASKABLE[lexicon[code].kind]
            supposed = replace(
                facts, observations={**facts.observations, code: Observation("present")}
            )
            if rule.condition.evaluate(supposed) is True:
                gain = askable * _LEVELS ** (level - rule.disposition)
                total, best = gains.get(code, (0.0, rule))
                better = rule if rule.disposition < best.disposition else best
                gains[code] = (total + gain, better)
    if not gains:
        return None
    code = max(sorted(gains), key=lambda c: gains[c][0])
    return Question(code, wordings[code].zh, wordings[code].en, gains[code][1])


def _touched(rule: Rule, facts: Facts) -> bool:
    """Whether something the patient has is among what the rule looks at."""
    return any(
        finding_truth(facts, code) is True or code in facts.history
        for code in rule.condition.findings()
    )
