"""An extractive answer: the sentences that answer a question, or that nothing was found.

Three steps, so that whoever serves it may run the model in between: `gather` looks for what may be
quoted, a reranker reads each quote with the question, `compose` makes the answer of what both say.
Nothing is ever said that no passage says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowledge_base.answers.disagreement import Disagreement, disagreements
from knowledge_base.answers.judgement import probabilities
from knowledge_base.answers.quotes import Quote, quotes
from knowledge_base.language import Language
from knowledge_base.library.near_duplicates import alike, shingles
from knowledge_base.search.filters import EVERYTHING, Filters
from knowledge_base.search.index import KnowledgeIndex

DEPTH = 20
"""Passages that are read for one question."""
LEAST = 0.4
"""Probability that the best quote answers below which nothing was found."""
LEAST_SHARE = 0.8
"""Of the best quote's probability that another must reach to stand beside it."""
MOST_PASSAGES = 4


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence as it stands in its passage: `entry.shown[language].text[start:end]`.

    probability: that the quote which it belongs to answers the question. also: ids of further
    passages that say the same in nearly the same words.
    """

    quote: Quote
    text: str
    start: int
    end: int
    probability: float
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """sentences: best first, those of one passage together; empty where nothing was found.

    confidence: probability that the best quote answers. nearest: what came closest where nothing
    was found; it is shown as that.
    """

    sentences: tuple[Sentence, ...]
    confidence: float
    disagreements: tuple[Disagreement, ...]
    nearest: tuple[Quote, ...]

    @property
    def found(self) -> bool:
        """Whether anything answers."""
        return bool(self.sentences)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What may be quoted, with what search says of each quote; all of one length.

    score, rank (from 0): of the passage; cosine: of the quote and the question.
    """

    quotes: tuple[Quote, ...]
    score: NDArray[np.float32]
    cosine: NDArray[np.float32]
    rank: NDArray[np.intp]

    @property
    def texts(self) -> list[str]:
        """What the reranker reads."""
        return [quote.judged for quote in self.quotes]


def gather(
    index: KnowledgeIndex, question: str, language: Language, filters: Filters = EVERYTHING
) -> Gathered:
    """What may be quoted, in the order of search; empty where search finds nothing.

    Passages in another language are quoted only where there is none in the one wanted.
    """
    hits = index.search(question, k=2 * DEPTH, language=language, filters=filters)
    own = [hit for hit in hits if hit.language == language]
    read = (own or hits)[:DEPTH]
    found = quotes(read, question)
    ranks = {hit.entry.id: rank for rank, hit in enumerate(read)}
    rank = np.array([ranks[quote.entry.id] for quote in found], dtype=np.intp)
    return Gathered(
        tuple(found),
        np.array([read[i].score for i in rank], dtype=np.float32),
        index.cosines(question, [quote.judged for quote in found]),
        rank,
    )


def compose(gathered: Gathered, reranked: NDArray[np.float32]) -> Answer:
    """The answer of what was gathered and of the reranker's probability [n] for each quote."""
    judged = probabilities(gathered.score, gathered.cosine, gathered.rank, reranked)
    return chosen_of(gathered.quotes, judged)


def chosen_of(found: Sequence[Quote], judged: NDArray[np.float32]) -> Answer:
    """The answer of quotes and the probability [n] that each answers."""
    if not len(judged):
        return Answer((), 0.0, (), ())
    order = np.argsort(-judged, kind="stable")
    best = float(judged[order[0]])
    if best < LEAST:
        return Answer((), best, (), tuple(found[i] for i in order[:MOST_PASSAGES]))
    least = max(LEAST, LEAST_SHARE * best)
    kept = [(found[i], float(judged[i])) for i in order if judged[i] >= least]
    chosen = _distinct(kept)
    sentences = [
        Sentence(one.quote, text, start, end, one.probability, tuple(one.also))
        for one in _together(chosen)
        for text, (start, end) in one.quote.sentences()
    ]
    return Answer(tuple(sentences), best, disagreements([q for q, _ in kept]), ())


@dataclass(frozen=True, slots=True)
class _Chosen:
    quote: Quote
    probability: float
    hashes: NDArray[np.uint64]
    also: list[str]


def _distinct(kept: Sequence[tuple[Quote, float]]) -> list[_Chosen]:
    """The first of those that say the same, of MOST_PASSAGES passages, and who says it too."""
    chosen: list[_Chosen] = []
    passages: set[str] = set()
    for quote, probability in kept:
        hashes = shingles(quote.text)
        twin = next((one for one in chosen if alike(one.hashes, hashes)), None)
        if twin is not None:
            twin.also.append(quote.entry.id)
        elif quote.entry.id in passages or len(passages) < MOST_PASSAGES:
            passages.add(quote.entry.id)
            chosen.append(_Chosen(quote, probability, hashes, []))
    return chosen


def _together(chosen: Sequence[_Chosen]) -> list[_Chosen]:
    """Passages in the order of their best quotes, each one's quotes in the order of its text."""
    places: dict[str, int] = {}
    for one in chosen:
        places.setdefault(one.quote.entry.id, len(places))
    return sorted(chosen, key=lambda one: (places[one.quote.entry.id], one.quote.spans))
