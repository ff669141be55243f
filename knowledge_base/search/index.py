"""Hybrid search over the guideline cards: lexical and dense, fused by reciprocal rank.

The unit of search is a bullet in both its languages, so a question in one language finds
passages in the other. Everything is built at once and only read afterwards: threads may share
an index. Queries are plain text: there is no query syntax to escape.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from knowledge_base.cards import FOR_PATIENTS, SECTION_NAMES, Card, Passage, cards
from knowledge_base.embedder import Embedder
from knowledge_base.language import Language
from knowledge_base.lexicon.findings import Lexicon, lexicon
from knowledge_base.search.dense import DenseIndex
from knowledge_base.search.findings import CardFindings
from knowledge_base.search.fusion import reciprocal_rank_fusion
from knowledge_base.search.lexical import LexicalIndex
from knowledge_base.search.synonyms import Synonyms, expansion, names
from knowledge_base.tokeniser import has_han, tokenise

Audience = Literal["patient", "physician"]

LONGEST_QUERY = 500
"""Characters that are read; the rest of a longer query is ignored."""
DEPTH = 100
"""Hits of each kind that enter the fusion."""
SYNONYM_WEIGHT = 0.5
"""What the names of a recognised concept count against the query's own words."""
FINDINGS_WEIGHT = 2.0
"""What a finding that the card lists counts, in units of one perfectly matching word."""
LEAST_COVERAGE = 0.2
"""Share of the query's words that some passage must hold, unless the lexicon knows one of them."""
LEAST_SIMILARITY = 0.45
"""Cosine similarity that a query must reach which the words alone do not place; both were
measured on tests/knowledge_base/questions.yaml."""


@dataclass(frozen=True)
class SearchHit:
    """A passage with its fused score and its ranks (from 1; None: not found that way)."""

    passage: Passage
    score: float
    lexical_rank: int | None
    dense_rank: int | None


@dataclass(frozen=True)
class Bullet:
    """One passage in both languages."""

    card: Card
    zh: Passage
    en: Passage

    def passage(self, language: Language) -> Passage:
        """The bullet in one language."""
        return self.zh if language == "zh" else self.en

    def text(self, language: Language) -> str:
        """What is indexed: the card's title, the section's name and the passage."""
        passage = self.passage(language)
        section = SECTION_NAMES[passage.section][language]
        return f"{self.card.head.title[language]} {section}: {passage.text}"

    def speaks_to(self, audience: Audience) -> bool:
        """Patients' sections of cards for patients, clinicians' sections of cards for them."""
        written_for: Audience = "patient" if self.zh.section in FOR_PATIENTS else "physician"
        return audience == written_for and self.card.head.audience in (audience, "both")


class KnowledgeIndex:
    """Search over one version of the cards."""

    def __init__(self, listed: Mapping[str, Card], embedder: Embedder, vocabulary: Lexicon) -> None:
        cards_in_order = list(listed.values())
        paired = [(n, bullet) for n, card in enumerate(cards_in_order) for bullet in pairs(card)]
        self.bullets = tuple(bullet for _, bullet in paired)
        self.version = version_of(listed)
        zh, en = [b.text("zh") for b in self.bullets], [b.text("en") for b in self.bullets]
        self._lexical = LexicalIndex([tokenise(f"{a} {b}") for a, b in zip(zh, en, strict=True)])
        self._dense = DenseIndex(embedder, [*zh, *en])
        self._synonyms = Synonyms(vocabulary)
        self._findings = CardFindings(cards_in_order, vocabulary)
        self._card_of = np.array([n for n, _ in paired], dtype=np.intp)
        self._allowed: dict[Audience | None, NDArray[np.bool_]] = {
            "patient": np.array([b.speaks_to("patient") for b in self.bullets], dtype=np.bool_),
            "physician": np.array([b.speaks_to("physician") for b in self.bullets], dtype=np.bool_),
            None: np.ones(len(self.bullets), dtype=np.bool_),
        }

    @classmethod
    def build(
        cls, embedder: Embedder, card_map: Mapping[str, Card] | None = None
    ) -> KnowledgeIndex:
        """Index `card_map`, or the shipped cards."""
        return cls(cards() if card_map is None else card_map, embedder, lexicon())

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        language: Language | None = None,
        audience: Audience | None = None,
    ) -> list[SearchHit]:
        """The k best passages, best first; an empty list where nothing fits.

        `language` is that of the passages; by default that of the query. `audience` keeps the
        passages that speak to patients or to clinicians.
        """
        query = query[:LONGEST_QUERY]
        lexical, dense = self.rankings(query, audience)
        lexical_ranks = {bullet: rank for rank, bullet in enumerate(lexical, start=1)}
        dense_ranks = {bullet: rank for rank, bullet in enumerate(dense, start=1)}
        wanted: Language = language or ("zh" if has_han(query) else "en")
        return [
            SearchHit(
                self.bullets[bullet].passage(wanted),
                score,
                lexical_ranks.get(bullet),
                dense_ranks.get(bullet),
            )
            for bullet, score in reciprocal_rank_fusion([lexical, dense])[: max(k, 0)]
        ]

    def rankings(self, query: str, audience: Audience | None = None) -> tuple[list[int], list[int]]:
        """The lexical and the dense ranking of bullets, at most DEPTH each; both may be empty."""
        tokens = tokenise(query)
        if not tokens or not self.bullets:
            return [], []
        allowed = self._allowed[audience]
        concepts = self._synonyms.concepts(query)
        lexical = self._lexical.search(
            tokens,
            also=expansion(tokens, concepts),
            also_weight=SYNONYM_WEIGHT,
            bonus=FINDINGS_WEIGHT * self._findings.scores(c.code for c in concepts)[self._card_of],
            allowed=allowed,
            limit=DEPTH,
        )
        similarities = self._dense.similarities(f"{query} {names(concepts)}".strip())
        similarities = similarities.reshape(2, -1).max(axis=0)
        placed = concepts or self._lexical.coverage(tokens, lexical[:10]) >= LEAST_COVERAGE
        if not placed and similarities.max() < LEAST_SIMILARITY:
            return [], []
        order = np.argsort(-np.where(allowed, similarities, -np.inf), kind="stable")
        return lexical, [int(b) for b in order[: min(DEPTH, int(allowed.sum()))]]


def pairs(card: Card) -> list[Bullet]:
    """The card's passages in pairs, in the order of the card."""
    english = {p.id: p for p in card.passages if p.language == "en"}
    return [
        Bullet(card, passage, english[passage.id])
        for passage in card.passages
        if passage.language == "zh"
    ]


def version_of(listed: Mapping[str, Card]) -> str:
    """A hash of the cards' ids, versions and texts: equal exactly when the content is."""
    digest = hashlib.sha256()
    for card_id in sorted(listed):
        head = listed[card_id].head
        digest.update(f"{card_id}\0{head.version}\0{head.title['zh']}\0{head.title['en']}".encode())
        for passage in listed[card_id].passages:
            digest.update(f"\0{passage.id}\0{passage.language}\0{passage.text}".encode())
    return digest.hexdigest()[:16]
