"""What an answer rests on: the rules that fired, what decided its level, the passages that say so.

Relies on the rules that fired, each with its passages, and on the cards that the answer cites. A
level without a passage says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from knowledge_base.cards import Card
from knowledge_base.language import Language
from knowledge_base.rules.conditions import finding_truth
from knowledge_base.rules.ruleset import Rule
from models.triage.advice import cite
from models.triage.case import Case
from models.triage.grounds import Grounds
from models.triage.learned import CRISIS, EMERGENCY, SAME_DAY
from models.triage.result import (
    AdviceResult,
    CitedPassage,
    DecidedBy,
    DispositionBasis,
    NoPassage,
    RuleResult,
)

_ROUTINE = 4
_LEARNED = frozenset({EMERGENCY, SAME_DAY, CRISIS})


def rule_result(rule: Rule, case: Case, grounds: Grounds) -> RuleResult:
    """A rule that fired as the answer shows it."""
    findings = tuple(
        code
        for code in sorted(rule.condition.findings())
        if finding_truth(case.facts, code) is True or code in case.facts.history
    )
    return RuleResult(
        id=rule.id,
        version=rule.text.version,
        topic=rule.text.topic,
        disposition=rule.disposition,
        rationale=rule.text.rationale,
        advice=rule.text.advice,
        card=rule.text.card,
        findings=findings,
        sources=rule.sources,
        checked=rule.text.checked,
        passages=grounds.of_rule(rule.id, findings),
    )


def named_passages(
    fired: Iterable[RuleResult],
    basis: DispositionBasis,
    advice: AdviceResult,
    grounds: Grounds,
    language: Language,
) -> tuple[CitedPassage, ...]:
    """Everything that an answer names by its id, the basis of its level first."""
    ids = [
        *basis.passages,
        *(i for rule in fired for i in rule.passages),
        *(a.passage for a in advice.come_back if a.passage is not None),
    ]
    return tuple(cite(card, passage) for card, passage in grounds.cited(ids, language))


def basis_of(
    level: int, fired: Sequence[RuleResult], case: Case, chosen: Sequence[Card], grounds: Grounds
) -> DispositionBasis:
    """The basis of `level`; `fired` are ordered by urgency, `chosen` are the cited cards.

    A red flag is supported by the cards that it names and by no other. What is routine or for
    home care, and has no passage of its rule, finds it in the cards that the answer cites.
    """
    deciding = (rule for rule in fired if rule.disposition == level)
    rule = min(deciding, key=lambda r: (_is_learned(r), not r.passages), default=None)
    decided = _decided_by(rule, fired, understood=case.understood)
    passages = () if rule is None else rule.passages
    if not passages and level >= _ROUTINE:
        passages = grounds.of_cards(chosen, case.present, level)
    return DispositionBasis(
        decided_by=decided,
        rule=None if rule is None else rule.id,
        passages=passages,
        none_because=None if passages else _none_because(decided),
    )


def _is_learned(rule: RuleResult) -> bool:
    """Whether only the learned urgency made it fire; a rule over words is the better reason."""
    return not _LEARNED.isdisjoint(rule.findings)


def _decided_by(
    rule: RuleResult | None, fired: Sequence[RuleResult], *, understood: bool
) -> DecidedBy:
    if rule is not None:
        if _is_learned(rule):
            return "learned_model"
        return "red_flag" if rule.disposition < _ROUTINE else "rule"
    if fired:
        return "caution"
    return "no_rule" if understood else "not_understood"


def _none_because(decided: DecidedBy) -> NoPassage:
    if decided == "learned_model" or decided == "not_understood":
        return decided
    return "no_card"
