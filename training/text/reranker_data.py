"""Questions with passages that answer them and passages that do not, for the reranker."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from knowledge_base.cards import cards
from knowledge_base.language import Language
from knowledge_base.questions import Question, questions
from knowledge_base.search.entry import Shown, card_entries
from knowledge_base.search.index import KnowledgeIndex
from training.text.pairs import Pair, diseases, held_out, medquad


@dataclass(frozen=True)
class Judged:
    """A question, a passage with its title and headings, and whether the one answers the other."""

    question: str
    passage: str
    right: bool


class CardPassages:
    """The bullets of the cards as the reranker reads them."""

    def __init__(self) -> None:
        self.shown = {e.id: e.shown for e in card_entries(cards().values())}
        self.ids = tuple(self.shown)
        self._card: dict[str, list[str]] = {}
        for passage in self.ids:
            self._card.setdefault(card_of(passage), []).append(passage)

    def siblings(self, answers: Sequence[str]) -> list[str]:
        """Passages of the same card, of other sections."""
        sections = {a.rpartition(":")[0] for a in answers}
        own = self._card[card_of(answers[0])]
        return [p for p in own if p.rpartition(":")[0] not in sections]

    def text(self, passage: str, language: Language) -> str:
        """What the network is given of it."""
        shown: Shown = self.shown[passage][language]
        return shown.indexed


def card_of(passage: str) -> str:
    """The card of a passage's id."""
    return passage.partition("#")[0]


def asked_of_cards(
    index: KnowledgeIndex, wrong: dict[str, int], depth: int, across: float, seed: int,
    limit: int | None, progress: Callable[[int], None],
) -> tuple[list[Judged], list[Judged]]:  # fmt: skip
    """Rows to learn from and rows held out, from the questions beside our own cards.

    A passage that search finds for a question and that belongs to the card or to one that it
    names as related may well answer it too: neither counts as wrong.
    """
    dice = random.Random(seed)
    passages = CardPassages()
    related = {c: {c, *card.head.related} for c, card in cards().items()}
    every = [q for asked in questions().values() for q in asked]
    if limit is not None:
        every = every[:limit]
    parts: tuple[list[Judged], list[Judged]] = ([], [])
    for number, question in enumerate(every):
        near = related[card_of(question.answers[0])]
        found = [h.entry.id for h in index.search(question.text, k=depth)]
        far = [p for p in found if card_of(p) not in near]
        pools = {"found": far, "sibling": passages.siblings(question.answers), "any": passages.ids}
        part = parts[1 if held_out(question.text) else 0]
        part += _rows(question, passages, pools, wrong, across, dice)
        progress(number)
    return parts


def _rows(
    question: Question, passages: CardPassages, pools: dict[str, Sequence[str]],
    wrong: dict[str, int], across: float, dice: random.Random,
) -> Iterator[Judged]:  # fmt: skip
    other: Language = "en" if question.language == "zh" else "zh"
    language: Language = other if dice.random() < across else question.language
    for answer in question.answers:
        yield Judged(question.text, passages.text(answer, language), True)
        for kind, pool in pools.items():
            free = [p for p in pool if p not in question.answers] if kind != "any" else pool
            for passage in dice.sample(list(free), min(wrong[kind], len(free))):
                if passage not in question.answers:
                    yield Judged(question.text, passages.text(passage, language), False)


def asked_elsewhere(
    data_dir: Path, sizes: dict[str, int], seed: int, limit: int | None
) -> tuple[list[Judged], list[Judged]]:
    """The same from MedQuAD's questions and the encyclopedia's names: other ways to write."""
    dice = random.Random(seed)
    parts: tuple[list[Judged], list[Judged]] = ([], [])
    for read, size in ((medquad, sizes["medquad"]), (diseases, sizes["diseases"])):
        pairs = read(data_dir, limit)
        chosen = dice.sample(pairs, min(size, len(pairs)))
        by_key: dict[str, list[Pair]] = {}
        for pair in pairs:
            by_key.setdefault(pair.key, []).append(pair)
        for pair in chosen:
            part = parts[1 if pair.held_out else 0]
            part.append(Judged(pair.left, pair.right, True))
            siblings = [p for p in by_key[pair.key] if p.left != pair.left]
            wrong = [*dice.sample(siblings, min(1, len(siblings))), *dice.sample(pairs, 2)]
            part += [Judged(pair.left, p.right, False) for p in wrong if p.right != pair.right]
    return parts
