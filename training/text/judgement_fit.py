"""Fits the constants of `knowledge_base/answers/judgement.py` and prints them.

    python -m training.text.judgement_fit

Asks the questions beside the cards that the embedding and the reranker never saw, over cards and
over their exports, with 60 cards taken away: the questions of these have no answer there. Folds by
question say how good it is.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from sklearn.linear_model import LogisticRegression

from knowledge_base.answers.answer import LEAST, Gathered, gather
from knowledge_base.answers.judgement import features
from knowledge_base.cards import cards
from knowledge_base.embedder import Embedder
from knowledge_base.exporting.round_trip import held, round_trip, without_blanks
from knowledge_base.questions import Question, questions
from knowledge_base.search.entry import Entry, card_entries
from knowledge_base.search.index import KnowledgeIndex
from models.embedder import HostedEmbedder
from models.repository import ModelRepository
from models.reranker import HostedReranker
from models.tasks.embedding import EmbeddingTask
from models.tasks.reranker import RerankerTask
from training.text.pairs import held_out
from training.text.reranker_data import card_of

_TAKEN_AWAY = 60
_QUESTIONS = 480
_FOLDS = 5
_SEED = 7


@dataclass(frozen=True)
class Asked:
    """The quotes of one question: features [n, 5] and whether each answers [n]; `answerable`:
    whether the card that does is there."""

    features: NDArray[np.float64]
    right: NDArray[np.bool_]
    answerable: bool


def main() -> None:
    """Fit and print."""
    dice = random.Random(_SEED)
    names = sorted(cards())
    dice.shuffle(names)
    there = {name: cards()[name] for name in sorted(names[_TAKEN_AWAY:])}
    unseen = [q for listed in questions().values() for q in listed if held_out(q.text)]
    dice.shuffle(unseen)
    answerable = [q for q in unseen if card_of(q.answers[0]) in there][:_QUESTIONS]
    others = [q for q in unseen if card_of(q.answers[0]) not in there][: _QUESTIONS // 2]
    repository = ModelRepository()
    embedder = HostedEmbedder.of(repository.get(EmbeddingTask.model))
    reranker = HostedReranker.of(repository.get(RerankerTask.model))
    with TemporaryDirectory() as folder:
        exports = round_trip(there, Path(folder))
    passages = {entry.id: held(entry, there) for entry in exports}
    found: list[Asked] = []
    for entries in (_unasked(card_entries(there.values())), exports):
        index = _index(embedder, entries)
        for question in track([*answerable, *others], description="asking"):
            gathered = gather(index, question.text, question.language)
            if not gathered.quotes:
                continue
            reranked = reranker.probabilities(question.text, gathered.texts)
            found.append(
                Asked(
                    features(gathered.score, gathered.cosine, gathered.rank, reranked),
                    np.array(list(_right(question, gathered, passages))),
                    card_of(question.answers[0]) in there,
                )
            )
    _report(found)


def _index(embedder: Embedder, entries: Sequence[Entry]) -> KnowledgeIndex:
    return KnowledgeIndex.build(embedder, {}, entries)


def _unasked(entries: Iterator[Entry]) -> list[Entry]:
    """Passages without the questions that are asked here."""
    return [replace(e, asked=tuple(q for q in e.asked if not held_out(q))) for e in entries]


def _right(
    question: Question, gathered: Gathered, passages: dict[str, dict[str, str]]
) -> Iterator[bool]:
    for quote in gathered.quotes:
        words = without_blanks(quote.text)
        own = passages.get(quote.entry.id, {quote.entry.id: words})
        yield any(
            passage in question.answers and (words in text or text in words)
            for passage, text in own.items()
        )


def _fit(found: Sequence[Asked]) -> LogisticRegression:
    rows = np.vstack([one.features for one in found])
    return LogisticRegression(max_iter=1000).fit(rows, np.concatenate([o.right for o in found]))


def _report(found: Sequence[Asked]) -> None:
    top, sure, answerable = [], [], []
    for fold in range(_FOLDS):
        model = _fit([one for n, one in enumerate(found) if n % _FOLDS != fold])
        for one in found[fold::_FOLDS]:
            given = model.predict_proba(one.features)[:, 1]
            top.append(bool(one.right[given.argmax()]))
            sure.append(float(given.max()))
            answerable.append(one.answerable)
    right, given, there = np.array(top), np.array(sure), np.array(answerable)
    said = given >= LEAST
    alone = np.array([one.right[one.features[:, 1].argmax()] for one in found if one.answerable])
    print(f"{len(found)} questions, folds by question")
    print(f"right quote on top: {right[there].mean():.3f}, by the reranker {alone.mean():.3f}")
    print(f"answered from {LEAST}: {said[there].mean():.3f} of those that have an answer,")
    print(f"{said[~there].mean():.3f} of those whose card is away; right {right[said].mean():.3f}")
    model = _fit(found)
    names = ("BELOW_BEST", "RERANKED", "RERANKED_BELOW_BEST", "COSINE", "RANK")
    for name, value in zip(names, model.coef_[0], strict=True):
        print(f"{name} = {value:.3f}")
    print(f"BIAS = {model.intercept_[0]:.3f}")


if __name__ == "__main__":
    main()
