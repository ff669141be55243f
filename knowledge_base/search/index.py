"""Hybrid search over passages: lexical and dense, their scores scaled and added.

A passage of a card is searched in both its languages, so a question in one finds it from the
other. An index is built at once and only read afterwards: threads may share it. Queries are plain
text: there is no query syntax to escape. `versions` keeps indexes on disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from knowledge_base.cards import Card, cards
from knowledge_base.embedder import Embedder
from knowledge_base.language import Language
from knowledge_base.lexicon.findings import Lexicon, lexicon
from knowledge_base.library.parts import parts
from knowledge_base.search.asked import Asked
from knowledge_base.search.dense import EXACT_UP_TO, DenseIndex
from knowledge_base.search.entry import Entry, Shown, card_entries
from knowledge_base.search.filters import EVERYTHING, Filters, FilterTable
from knowledge_base.search.fusion import min_max
from knowledge_base.search.lexical import LexicalIndex, Scores, Terms, best
from knowledge_base.search.surroundings import SYNONYM_WEIGHT, Topics, Wholes
from knowledge_base.search.synonyms import Synonyms, expansion
from knowledge_base.tokeniser import has_han

LONGEST_QUERY = 500
"""Characters that are read; the rest of a longer query is ignored."""
DEPTH = 100
"""Hits of each kind that enter the fusion."""
WHOLE_WEIGHT = 1.0
"""What the scaled score of the whole document counts against that of the passage's words."""
DENSE_WEIGHT = 1.0
"""What the scaled similarity counts against the same."""
ASKED_WEIGHT = 1.0
"""What the scaled similarity of a question that the passage answers counts, and"""
AROUND_WEIGHT = 0.5
"""that of the questions of its document."""
LEAST_COVERAGE = 0.2
"""Share of the query's words that some passage must hold, unless the lexicon knows one of them."""
LEAST_SIMILARITY = 0.45
"""Cosine similarity that a query must reach which the words alone do not place; both were
measured on tests/knowledge_base/questions.yaml."""
TRUSTED_COVERAGE = 0.1
"""Share of the query's words that the best passage holds from which words count in full: a scaled
score says nothing of how little the best one holds. Of a query in another language than the
passages, words find no more than the concepts that it names."""
LONG = 100
"""Words (`tokenise`) of a query beyond which its similarity counts less, by the square: one vector
is the mean of all that a long text says, while its words find more and more."""
LEAST_TRUST = 0.2
"""What words count where the passages hold none of the query's."""


class Entries(Protocol):
    """Passages by position."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int) -> Entry: ...


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A passage in one language, with its score (4.5 at most) and its ranks among the candidates of
    each kind (from 1; None: not found that way)."""

    entry: Entry
    language: Language
    score: float
    lexical_rank: int | None
    dense_rank: int | None

    @property
    def shown(self) -> Shown:
        """The passage's title, headings and text."""
        return self.entry.shown[self.language]


@dataclass(frozen=True, slots=True)
class Candidates:
    """The passages that a query may mean, with what speaks for each, scaled to 0..1.

    words: of the passage; whole: of its document and of the findings that its card lists; dense:
    similarity; asked, around: that of questions it answers, and its document. Ranks by words and
    whole, and by similarity, from 1; 0 where not among the first DEPTH. All of shape [n].
    """

    positions: NDArray[np.intp]
    words: Scores
    whole: Scores
    dense: Scores
    asked: Scores
    around: Scores
    lexical_rank: NDArray[np.intp]
    dense_rank: NDArray[np.intp]

    @property
    def score(self) -> Scores:
        """What they are sorted by."""
        total: Scores = (
            self.words
            + WHOLE_WEIGHT * self.whole
            + DENSE_WEIGHT * self.dense
            + ASKED_WEIGHT * self.asked
            + AROUND_WEIGHT * self.around
        )
        return total

    @classmethod
    def none(cls) -> Candidates:
        """Nothing found."""
        nothing, nowhere = np.empty(0, dtype=np.float32), np.empty(0, dtype=np.intp)
        return cls(nowhere, nothing, nothing, nothing, nothing, nothing, nowhere, nowhere)


class KnowledgeIndex:
    """Search over one version of the passages."""

    def __init__(
        self,
        entries: Entries,
        lexical: LexicalIndex,
        dense: DenseIndex,
        filters: FilterTable,
        topics: Topics,
        wholes: Wholes,
        asked: Asked,
        embedder: Embedder,
        vocabulary: Lexicon,
        version: str,
    ) -> None:
        self.entries, self.version = entries, version
        self._lexical, self._dense, self._filters = lexical, dense, filters
        self._topics, self._wholes, self._asked = topics, wholes, asked
        self._embedder, self._synonyms = embedder, Synonyms(vocabulary)

    @classmethod
    def build(
        cls,
        embedder: Embedder,
        card_map: Mapping[str, Card] | None = None,
        further: Iterable[Entry] = (),
    ) -> KnowledgeIndex:
        """Index `card_map`, or the shipped cards, and further passages, in memory."""
        listed = cards() if card_map is None else card_map
        entries = [*card_entries(listed.values()), *further]
        texts, owners = _compared(entries)
        vectors = embedder.embed(texts) if texts else np.empty((0, embedder.dimension), np.float32)
        if vectors.shape != (len(texts), embedder.dimension):
            raise ValueError(f"the embedder gave {vectors.shape} for {len(texts)} texts")
        vocabulary = lexicon()
        return cls(
            entries,
            LexicalIndex.build(_terms(entry) for entry in entries),
            DenseIndex.build(np.ascontiguousarray(vectors, dtype=np.float32), owners),
            FilterTable.build(entries),
            Topics.build(entries, vocabulary),
            Wholes.build(entries),
            Asked.build(entries, embedder),
            embedder,
            vocabulary,
            version_of(entries),
        )

    def save(self, folder: Path) -> None:
        """All but the passages themselves, into an existing folder."""
        parts = (
            self._lexical, self._dense, self._filters, self._topics, self._wholes, self._asked
        )  # fmt: skip
        for part in parts:
            part.save(folder)

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        language: Language | None = None,
        filters: Filters = EVERYTHING,
    ) -> list[SearchHit]:
        """The k best passages, best first; an empty list where nothing fits.

        `language` is the one wanted, by default that of the query; a passage of a document comes
        in the one that it has.
        """
        query = query[:LONGEST_QUERY]
        found = self.candidates(query, filters)
        wanted: Language = language or ("zh" if has_han(query) else "en")
        score, hits = found.score, []
        for row in np.lexsort((found.positions, -score))[: max(k, 0)]:
            entry = self.entries[int(found.positions[row])]
            hits.append(
                SearchHit(
                    entry,
                    entry.in_language(wanted)[0],
                    float(score[row]),
                    int(found.lexical_rank[row]) or None,
                    int(found.dense_rank[row]) or None,
                )
            )
        return hits

    def cosines(self, query: str, texts: Sequence[str]) -> Scores:
        """How near each text comes to the query in meaning, [n]."""
        vectors = self._embedder.embed([query[:LONGEST_QUERY], *texts])
        return np.asarray(vectors[1:] @ vectors[0], dtype=np.float32)

    def candidates(self, query: str, filters: Filters = EVERYTHING) -> Candidates:
        """The best DEPTH by words and by meaning; may be empty."""
        terms = Terms.of(query)
        if not terms.words or not len(self.entries):
            return Candidates.none()
        allowed = self._filters.allowed(filters)
        concepts = self._synonyms.concepts(query)
        also = expansion(terms.words, concepts)
        words, hit = self._lexical.matched(terms, also, SYNONYM_WEIGHT)
        whole = self._topics.bonus(concepts) + self._wholes.scores(terms, also)
        matched = np.flatnonzero(hit if allowed is None else hit & allowed)
        lexical, _ = best(matched, (words + whole)[matched], DEPTH)
        [vector] = self._embedder.embed([query])
        dense, near = self._dense.search(vector, DEPTH, allowed)
        asked, around = self._asked.similarities(vector)
        put = np.flatnonzero(asked > 0 if allowed is None else (asked > 0) & allowed)
        as_asked, _ = best(put, asked[put], DEPTH)
        top = [int(position) for position in lexical[:10]]
        covered = self._lexical.coverage(terms.words, top)
        placed = concepts or covered >= LEAST_COVERAGE
        nearest = max(near.max(initial=0.0), asked[put].max(initial=0.0))
        if not placed and nearest < LEAST_SIMILARITY:
            return Candidates.none()
        positions = np.union1d(np.union1d(lexical, dense), as_asked)
        similar = self._dense.similarities(vector, positions)
        fade = np.float32(min(1.0, LONG / len(terms.words)) ** 2)
        trust = np.float32(LEAST_TRUST + (1 - LEAST_TRUST) * min(1.0, covered / TRUSTED_COVERAGE))
        return Candidates(
            positions,
            trust * min_max(words[positions], _lowest(words[matched])),
            trust * min_max(whole[positions], 0.0),
            fade * min_max(similar, float(near[-1]) if len(near) == DEPTH else 0.0),
            min_max(asked[positions], _lowest(asked[put])),
            min_max(around[positions], _lowest(around[put])),
            _ranks(positions, lexical),
            _ranks(positions, dense),
        )


def _lowest(scores: Scores) -> float:
    """The score that is worth nothing: that of the first passage beyond DEPTH."""
    return float(np.partition(scores, -DEPTH)[-DEPTH]) if len(scores) > DEPTH else 0.0


def _ranks(positions: NDArray[np.intp], ranking: NDArray[np.intp]) -> NDArray[np.intp]:
    """The rank of each position, from 1; 0 where it is not in the ranking."""
    ranks = np.zeros(len(positions), dtype=np.intp)
    ranks[np.searchsorted(positions, ranking)] = np.arange(1, len(ranking) + 1)
    return ranks


def _compared(entries: Sequence[Entry]) -> tuple[list[str], list[int]]:
    """The texts whose meaning is compared with a query's, and the passage of each.

    Every part of a passage, in each of its languages; whole passages where there are too many
    parts to compare one by one, at a cost of some points of nDCG on passages of many thoughts.
    """
    texts, owners = [], []
    for position, entry in enumerate(entries):
        for shown in entry.shown.values():
            for spans in parts(shown.text):
                texts.append(shown.under_headings(shown.text[spans[0][0] : spans[-1][1]]))
                owners.append(position)
    if len(texts) <= EXACT_UP_TO:
        return texts, owners
    whole = [(s.indexed, n) for n, entry in enumerate(entries) for s in entry.shown.values()]
    return [text for text, _ in whole], [position for _, position in whole]


def _terms(entry: Entry) -> Terms:
    return Terms.of(*(shown.indexed for shown in entry.shown.values()))


def version_of(entries: Iterable[Entry]) -> str:
    """A hash of the passages with all that qualifies them: equal exactly when the content is."""
    digest = hashlib.sha256()
    for entry in entries:
        digest.update(entry.dumped())
        digest.update(b"\0")
    return digest.hexdigest()[:16]
