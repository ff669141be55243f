"""What the features of `answers` look up: how rare words are, BM25, concepts and vectors.

Built over all answers that a run reads. Labels, ranks and the order of the answers are unknown
here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from eval.answers.texts import AnswerText, AskedText, Pool, sentences
from eval.progress import track
from knowledge_base.embedder import Embedder
from knowledge_base.lexicon.findings import lexicon
from knowledge_base.search.lexical import LexicalIndex, Terms
from knowledge_base.search.synonyms import Synonyms, expansion
from models.repository import ModelEntry, ModelRepository
from models.reranker import HostedReranker
from models.tasks.reranker import RerankerTask
from models.text.matcher import matcher

Vectors = NDArray[np.float32]
Judge = Callable[[str, Sequence[str]], NDArray[np.float32]]
"""A question and passages to probabilities that each passage answers it."""

MOST_SENTENCES = 30
READ = 1500
"""Characters of an answer in which concepts are looked for."""
_WHOLE = 1000
_BATCH = 512


def hosted_judge(repository: ModelRepository) -> tuple[Judge, ModelEntry] | None:
    """The reranker, for one more feature; None where the repository has none."""
    if not any(e.manifest.name == RerankerTask.model for e in repository.entries()):
        return None
    entry = repository.get(RerankerTask.model)
    return HostedReranker.of(entry).probabilities, entry


class Collection:
    """All answers of the pools, each known by its text."""

    def __init__(self, pools: Sequence[Pool], embedder: Embedder) -> None:
        # Sorted: the order of a file may tell how the answers were found.
        texts = sorted({text for pool in pools for text in pool.answers})
        self._number = {text: i for i, text in enumerate(texts)}
        self.answers = {text: AnswerText.of(text) for text in texts}
        self._holding = Counter(t for a in self.answers.values() for t in set(a.tokens))
        self._bodies = LexicalIndex.build(map(Terms.of, texts))
        self._titles = LexicalIndex.build(Terms.of(titled(a)) for a in self.answers.values())
        self._concepts = Synonyms(lexicon())
        self._matcher = matcher()
        self.sentences = {t: sentences(a.body, MOST_SENTENCES) for t, a in self.answers.items()}
        self.codes = {text: self.findings(text[:READ]) for text in texts}
        self.title_codes = {t: self.findings(a.title) for t, a in self.answers.items()}
        self._vectors = _embedded(embedder, [*self._texts(), *_asked_texts(pools)])

    def rarity(self, token: str) -> float:
        """Inverse document frequency as BM25 has it."""
        held = self._holding[token]
        return math.log(1 + (len(self._number) - held + 0.5) / (held + 0.5))

    def weight(self, tokens: Iterable[str]) -> float:
        """The sum of rarities."""
        return sum(map(self.rarity, tokens))

    def bm25(self, query: str, answers: Sequence[str]) -> NDArray[np.float64]:
        """[len(answers), 2]: the whole texts' scores, and the titles'."""
        terms = Terms.of(query)
        rows = [self._number[text] for text in answers]
        scores = [index.matched(terms)[0][rows] for index in (self._bodies, self._titles)]
        return np.stack(scores, axis=1).astype(np.float64)

    def findings(self, text: str) -> frozenset[str]:
        """Codes of the lexicon that a text names, whatever it says of them."""
        return frozenset(mention.code for mention in self._matcher.find(text))

    def other_names(self, asked: AskedText) -> frozenset[str]:
        """Tokens of other names of what the question names."""
        return frozenset(expansion(asked.tokens, self._concepts.concepts(asked.text)))

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """[len(texts), D], L2-normalised."""
        return np.stack([self._vectors[text] for text in texts])

    def _texts(self) -> Iterable[str]:
        for text, answer in self.answers.items():
            yield from (titled(answer), headed(answer), text[:_WHOLE], *self.sentences[text])


def titled(answer: AnswerText) -> str:
    """What stands for its title."""
    return answer.title or answer.text[:80]


def headed(answer: AnswerText) -> str:
    """What stands for the name of the thing."""
    return answer.head or answer.text[:80]


def opening(answer: AnswerText) -> str:
    """What stands for the whole of it in one vector."""
    return answer.text[:_WHOLE]


def asked_sentences(asked: AskedText) -> list[str]:
    """The sentences of the message."""
    return sentences(asked.message, MOST_SENTENCES)


def _asked_texts(pools: Sequence[Pool]) -> Iterable[str]:
    for pool in pools:
        asked = AskedText(pool.question)
        yield from (asked.text, asked.subject, *asked_sentences(asked))


def _embedded(embedder: Embedder, texts: Sequence[str]) -> dict[str, Vectors]:
    # Texts of like length together: a row is padded to the longest of its batch.
    distinct = sorted(set(texts), key=lambda t: (len(t), t))
    found: dict[str, Vectors] = {}
    starts = range(0, len(distinct), _BATCH)
    for start in track(starts, len(starts), "embedding"):
        part = distinct[start : start + _BATCH]
        found.update(zip(part, embedder.embed(part), strict=True))
    return found
