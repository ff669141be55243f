"""The passages that a conclusion rests on: bullets of guideline cards, chosen without a model.

A rule names the cards; of their bullets those are taken that name the findings which made it fire,
share the words of its reason and call for what it calls for. The same facts give the same passages.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import log2

from knowledge_base.cards import Card, Passage, Section
from knowledge_base.language import Language
from knowledge_base.lexicon.findings import Lexicon
from knowledge_base.rules.ruleset import RuleSet
from knowledge_base.tokeniser import fold, is_han, tokenise

MOST = 3
_EMERGENCY, _ROUTINE, _SELF_CARE = 2, 4, 5
_WORRY: tuple[Section, ...] = ("when_to_worry", "refer")
_SECTIONS: Mapping[int, tuple[Section, ...]] = {
    _ROUTINE: ("when_to_worry", "refer", "self_care"),
    _SELF_CARE: ("self_care", "when_to_worry"),
}
"""Where a level finds its support; what is not listed is urgent and looks in `_WORRY`."""

_CALLS = (
    (1, re.compile("120|救护车|抢救")),
    (2, re.compile("急诊|马上|立即|立刻|住院|重症")),
    (3, re.compile("当天|当日|24小时|今天")),
)
"""What a Chinese bullet calls for, as a disposition; both languages of a bullet say the same."""
_PEOPLE = (
    re.compile("孕|妊娠|产后|流产|分娩|胎"),
    re.compile("婴|宝宝|新生儿|孩子|儿童|患儿"),
    re.compile("癌|化疗|肿瘤"),
)
"""Some people alone: a bullet on them is for a rule or a card on them."""
_SAYS_SO = 0.5
"""What it adds to a bullet's score that it calls for the level or a more urgent one, and of what is
not urgent that it calls for no emergency department."""
_OTHERS = 0.5
"""What a bullet loses for each group of people that its rule and card do not speak of."""
_WORDS = 2.0
"""What the share of the reason's words weighs beside that of the findings."""
_NEAR = 0.75
"""Bullets with this share of the best score stand beside the best."""
_CLOSE = 0.5
"""Share of the held findings, by weight, and of the reason's words that a bullet of a card which
is only cited must hold together."""
_SHARED = 0.15
"""Share of the words that it must hold where no finding is held: below it, what they share is
"blood" or "needs a check"."""
_REMEMBERED = 4096


@dataclass(frozen=True)
class _Bullet:
    """A passage in both languages, with its folded texts, its words and what it calls for.

    people: the groups of `_PEOPLE` that it speaks of and its card does not; about: the finding that
    its card names first, which a bullet need not repeat.
    """

    place: int
    id: str
    section: Section
    zh: str
    en: str
    words: frozenset[str]
    level: int
    people: frozenset[int]
    about: str | None


class Grounds:
    """Finds and cites passages for one set of cards and rules. Threads may share it."""

    def __init__(self, cards: Mapping[str, Card], terms: Lexicon, rule_set: RuleSet) -> None:
        self._cards, self._terms, self._rules = cards, terms, rule_set.by_id
        self._of_card = lru_cache(maxsize=None)(self._read)
        self._of_rule = lru_cache(maxsize=_REMEMBERED)(self._choose)
        self._names = lru_cache(maxsize=None)(self._folded_names)
        listed = Counter(code for card in cards.values() for code in card.head.findings)
        self._weight = {code: 1.0 / (1.0 + log2(1 + listed[code])) for code in terms}
        """What many cards list (fever) says little of what a bullet is about."""

    def of_rule(self, rule_id: str, held: Iterable[str]) -> tuple[str, ...]:
        """Ids of at most three passages, the best first; `held`: its findings that the patient has.

        The card that a rule is about always has one. A card that it only cites has one where a
        bullet names a finding that is held or, of rules over values alone, shares enough words.
        """
        return self._of_rule(rule_id, frozenset(held))

    def of_cards(self, cards: Iterable[Card], held: Collection[str], level: int) -> tuple[str, ...]:
        """Ids of at most three bullets of cards that name a finding which is held."""
        bullets = [b for card in cards for b in self._bullets(card.head.id, level)]
        return _best(
            (named + _fit(bullet, level, frozenset()), bullet)
            for bullet in bullets
            if (named := self._named(bullet, held))
        )

    def cited(self, ids: Iterable[str], language: Language) -> list[tuple[Card, Passage]]:
        """Cards and passages behind ids, each once, in the order of first mention."""
        found = []
        for passage_id in dict.fromkeys(ids):
            card = self._cards.get(passage_id.partition("#")[0])
            passage = None if card is None else card.passage(passage_id, language)
            if card is not None and passage is not None:
                found.append((card, passage))
        return found

    def _choose(self, rule_id: str, held: frozenset[str]) -> tuple[str, ...]:
        rule = self._rules[rule_id]
        reason = _words(rule.text.rationale.values())
        people = _people(rule.text.rationale["zh"])
        scored: list[tuple[float, _Bullet]] = []
        own: list[tuple[float, _Bullet]] = []
        named_cards = (*filter(None, (rule.text.card,)), *rule.text.cites)
        for card in named_cards:
            for bullet in self._bullets(card, rule.disposition) if card in self._cards else ():
                named = self._named(bullet, held)
                shared = len(reason & bullet.words) / len(reason)
                fit = _fit(bullet, rule.disposition, people)
                pair = named + _WORDS * shared + fit, bullet
                if card == rule.text.card:
                    own.append(pair)
                by_words = shared >= _SHARED and (not held or card == rule.text.card)
                enough = named + shared >= _CLOSE or card == rule.text.card
                if by_words or (named and enough):
                    scored.append(pair)
        return _best(scored) or _best(own)[:1]

    def _named(self, bullet: _Bullet, held: Collection[str]) -> float:
        """The share of the findings, by weight, that it names in either language; 0 of none."""
        whole = sum(self._weight[code] for code in held)
        names = ((code, *self._names(code)) for code in held)
        return sum(
            self._weight[code] / whole
            for code, zh, en in names
            if code == bullet.about
            or any(name in bullet.zh for name in zh)
            or any(name in bullet.en for name in en)
        )

    def _folded_names(self, code: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Chinese names, and English ones as words of their own at the start (rash, not crash)."""
        concept = self._terms[code]
        zh = tuple(n for n in map(fold, concept.names_zh) if len(n) > 1)
        return zh, tuple(f" {n}" for n in map(fold, concept.names_en) if len(n) > 3)

    def _bullets(self, card: str, level: int) -> list[_Bullet]:
        wanted = _SECTIONS.get(level, _WORRY)
        listed = [b for b in self._of_card(card) if b.section in wanted]
        return sorted(listed, key=lambda b: (wanted.index(b.section), b.place))

    def _read(self, card_id: str) -> tuple[_Bullet, ...]:
        card = self._cards[card_id]
        english = {p.id: p.text for p in card.passages if p.language == "en"}
        return tuple(
            _Bullet(
                place=place,
                id=p.id,
                section=p.section,
                zh=fold(p.text),
                en=f" {fold(english[p.id])}",
                words=_words((p.text, english[p.id])),
                level=next((n for n, call in _CALLS if call.search(p.text)), _ROUTINE),
                people=_people(p.text) - _people(card.head.title["zh"]),
                about=next(iter(card.head.findings), None),
            )
            for place, p in enumerate(card.passages)
            if p.language == "zh" and p.section in (*_WORRY, "self_care")
        )


def _words(texts: Iterable[str]) -> frozenset[str]:
    """Words and pairs of characters; a single character says too little."""
    return frozenset(
        word for text in texts for word in tokenise(text) if len(word) > 1 or not is_han(word)
    )


def _people(text: str) -> frozenset[int]:
    return frozenset(n for n, group in enumerate(_PEOPLE) if group.search(text))


def _fit(bullet: _Bullet, level: int, people: frozenset[int]) -> float:
    """How well it suits what is concluded, whatever it names."""
    says_so = bullet.level <= level if level < _ROUTINE else bullet.level > _EMERGENCY
    return (_SAYS_SO if says_so else 0.0) - _OTHERS * len(bullet.people - people)


def _best(scored: Iterable[tuple[float, _Bullet]]) -> tuple[str, ...]:
    """The best and those near it; among equals the earlier one."""
    ranked = sorted(scored, key=lambda pair: -pair[0])[:MOST]
    return tuple(bullet.id for score, bullet in ranked if score >= _NEAR * ranked[0][0])
