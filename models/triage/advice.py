"""Advice from guideline cards: passages for patients on what they have, with sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from knowledge_base.cards import Card, Passage, Section
from knowledge_base.language import Language
from models.triage.result import CitedPassage

_MOST_CARDS = 2
_MOST_PASSAGES = 4


def choose_cards(
    cards: Mapping[str, Card], named: Iterable[str | None], present: Sequence[str]
) -> list[Card]:
    """Cards that fired rules name, then those that share most findings with the patient."""
    chosen = {c: None for c in named if c is not None and c in cards}
    overlap = {
        card_id: sum(1.0 / (1 + present.index(f)) for f in card.head.findings if f in present)
        for card_id, card in cards.items()
    }
    ranked = sorted((c for c in overlap if overlap[c] > 0), key=lambda c: (-overlap[c], c))
    chosen |= dict.fromkeys(ranked)
    return [cards[c] for c in list(chosen)[:_MOST_CARDS]]


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
