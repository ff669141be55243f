"""What a passage gains from where it stands: its card lists a finding of the query, or its whole
document holds the query's other words. A bullet is short; what it is part of says what it is about.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge_base.language import Language
from knowledge_base.lexicon.findings import Concept, Lexicon
from knowledge_base.search.entry import Entry
from knowledge_base.search.findings import CardFindings
from knowledge_base.search.lexical import LexicalIndex, Scores, Terms

FINDINGS_WEIGHT = 2.0
"""What a finding that the card lists counts, in units of one perfectly matching word."""
SYNONYM_WEIGHT = 0.5
"""What the names of a recognised concept count against the query's own words."""


class Topics:
    """The findings that cards list. card_of [n]: the card of each passage, -1 for a document's."""

    def __init__(
        self, listed: Sequence[Sequence[str]], card_of: NDArray[np.int32], vocabulary: Lexicon
    ) -> None:
        self._listed, self._card_of = listed, card_of
        self._findings = CardFindings(listed, vocabulary)

    @classmethod
    def build(cls, entries: Iterable[Entry], vocabulary: Lexicon) -> Topics:
        """Passages in their order."""
        numbers: dict[str, int] = {}
        listed: list[Sequence[str]] = []
        card_of = []
        for entry in entries:
            if entry.kind == "card" and entry.document not in numbers:
                numbers[entry.document] = len(listed)
                listed.append(entry.findings)
            card_of.append(numbers[entry.document] if entry.kind == "card" else -1)
        return cls(listed, np.array(card_of, dtype=np.int32), vocabulary)

    def bonus(self, concepts: Sequence[Concept]) -> Scores:
        """In units of lexical score, shape [number of passages]."""
        by_card = FINDINGS_WEIGHT * self._findings.scores(c.code for c in concepts)
        padded = np.append(by_card, 0).astype(np.float32)  # the last for passages without a card
        gained: Scores = padded[self._card_of]
        return gained

    def save(self, folder: Path) -> None:
        """Into an existing folder, for `load`."""
        np.save(folder / "topics.cards.npy", self._card_of)
        text = json.dumps([list(codes) for codes in self._listed])
        (folder / "topics.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, vocabulary: Lexicon) -> Topics:
        """As saved."""
        listed = json.loads((folder / "topics.json").read_text(encoding="utf-8"))
        return cls(listed, np.load(folder / "topics.cards.npy"), vocabulary)


class Wholes:
    """BM25 over whole documents. of [n]: the number of each passage's document."""

    def __init__(self, lexical: LexicalIndex, of: NDArray[np.int32]) -> None:
        self._lexical, self._of = lexical, of

    @classmethod
    def build(cls, entries: Iterable[Entry]) -> Wholes:
        """Passages in their order."""
        numbers: dict[str, int] = {}
        texts: list[dict[Language, str]] = []
        of = []
        for entry in entries:
            number = numbers.setdefault(entry.document, len(numbers))
            if number == len(texts):
                texts.append({})
            for language, shown in entry.shown.items():
                before = texts[number].get(language, shown.title)
                texts[number][language] = f"{before}\n{shown.text}"
            of.append(number)
        lexical = LexicalIndex.build(Terms.of(*whole.values()) for whole in texts)
        return cls(lexical, np.array(of, dtype=np.int32))

    def scores(self, terms: Terms, also: Sequence[str]) -> Scores:
        """The score of each passage's document, shape [number of passages]."""
        scores, _ = self._lexical.matched(terms, also, SYNONYM_WEIGHT)
        gained: Scores = scores[self._of]
        return gained

    def save(self, folder: Path) -> None:
        """Into a folder of its own below an existing one, for `load`."""
        own = folder / "wholes"
        own.mkdir()
        self._lexical.save(own)
        np.save(own / "of.npy", self._of)

    @classmethod
    def load(cls, folder: Path) -> Wholes:
        """As saved."""
        own = folder / "wholes"
        return cls(LexicalIndex.load(own), np.load(own / "of.npy"))
