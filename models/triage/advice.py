"""Advice for patients: what to do now, what to watch for, when to come back, what to tell.

What to do comes from the rule that decided, the rest from guideline cards and safety-netting
texts, each with its documents, in the language of the answer. Never a diagnosis or a dose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from knowledge_base.cards import Card, Passage, Section
from knowledge_base.language import Language
from knowledge_base.lexicon.findings import Lexicon
from knowledge_base.rules.facts import Facts
from knowledge_base.rules.ruleset import Verdict
from knowledge_base.rules.scale import dispositions
from knowledge_base.safety_net import Advice, SafetyNet, safety_net
from models.triage.case import Case
from models.triage.doctor_list import doctor_list
from models.triage.result import AdviceResult, CitedAdvice, CitedPassage

_MOST_CARDS = 2
_MOST_PASSAGES = 4
_CHILD = "child"
_PREGNANCY = frozenset(("pregnancy", "obstetrics"))
_WOMEN = _PREGNANCY | {"gynaecology"}
"""Topics of cards that are for some patients alone."""
_YOUNG_YEARS, _CHILD_YEARS = 5.0, 14.0
_SUITS, _PERHAPS = 2.0, 0.5
"""What such a card weighs for a patient whom it is for, and for one who may be."""
_EMERGENCY = 2
"""Up to this level nobody is told how to look after it at home, or how long it may last."""


def advise(
    case: Case,
    verdict: Verdict,
    level: int,
    chosen: Sequence[Card],
    terms: Lexicon,
    language: Language,
) -> AdviceResult:
    """All advice of one answer; `chosen` are the cards that it cites."""
    net = safety_net()
    watch_for = passages(chosen, "when_to_worry", language)
    return AdviceResult(
        now=verdict.fired[0].text.advice if verdict.fired else dispositions()[level].action,
        watch_for=watch_for,
        self_care=passages(chosen, "self_care", language) if level > _EMERGENCY else (),
        come_back=come_back(net, level, case.facts, language, signs=bool(watch_for)),
        tell_the_doctor=doctor_list(case, terms, net.words, language),
    )


def come_back(
    net: SafetyNet, level: int, facts: Facts, language: Language, *, signs: bool
) -> tuple[CitedAdvice, ...]:
    """When to be seen again: by the urgency, then how long each complaint may last.

    `signs` says whether the answer lists warning signs that a sentence may point to.
    """
    listed: list[Advice] = [a for a in net.levels[level] if a.signs in (None, signs)]
    if level > _EMERGENCY:
        listed += [x for x in net.limits if x.concerns(facts)]
    return tuple(
        CitedAdvice(text=a.text[language], sources=a.sources, passage=a.passage) for a in listed
    )


def choose_cards(
    cards: Mapping[str, Card],
    named: Iterable[str | None],
    present: Sequence[str],
    facts: Facts,
) -> list[Card]:
    """Cards that fired rules name, then those that share most findings with the patient.

    What was said first, and what a card names first, weighs most: a card on carbon monoxide
    knows headache too, but the one on headache is about it. A card for some people alone (children,
    pregnancy, women) is first for them, last where nobody said, and not for others.
    """
    chosen = {c: None for c in named if c is not None and c in cards}
    order = {finding: 1 + place for place, finding in reversed([*enumerate(present)])}
    overlap = {
        card_id: _fit(card, facts)
        * sum(
            1.0 / (order[f] * (1 + place))
            for place, f in enumerate(card.head.findings)
            if f in order
        )
        for card_id, card in cards.items()
        if not order.keys().isdisjoint(card.head.findings)
    }
    ranked = sorted((c for c in overlap if overlap[c] > 0), key=lambda c: (-overlap[c], c))
    chosen |= dict.fromkeys(ranked)
    return [cards[c] for c in list(chosen)[:_MOST_CARDS]]


def _fit(card: Card, facts: Facts) -> float:
    """How well a card suits a patient: 1 for a card that is for everybody."""
    topics, fit = set(card.head.topics), 1.0
    if _CHILD in topics:
        fit *= _fit_of_child(facts.age_years)
    if topics & _PREGNANCY:
        fit *= _SUITS if facts.pregnant else _PERHAPS
    if topics & _WOMEN and facts.sex == "male":
        return 0.0
    return fit


def _fit_of_child(age_years: float | None) -> float:
    if age_years is None:
        return _PERHAPS
    if age_years < _YOUNG_YEARS:
        return _SUITS
    return 1.0 if age_years < _CHILD_YEARS else 0.0


def cite(card: Card, passage: Passage) -> CitedPassage:
    """A passage with its card's title and documents."""
    return CitedPassage(
        id=passage.id,
        card=card.head.id,
        title=card.head.title[passage.language],
        section=passage.section,
        text=passage.text,
        sources=card.sources_of(passage),
    )


def passages(
    chosen: Iterable[Card], section: Section, language: Language
) -> tuple[CitedPassage, ...]:
    """The first passages of one section over the chosen cards, card by card."""
    found = [cite(card, p) for card in chosen for p in card.section(section, language)]
    return tuple(found[:_MOST_PASSAGES])
