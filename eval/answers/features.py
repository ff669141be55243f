"""Features of the benchmark `answers`: how a question and each of its answers fit together.

Only texts go in. Some features compare an answer with the question, some with the question's
other answers: in a pool of candidates what matters is mostly who fits better than the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eval.answers import meaning, words
from eval.answers.collection import (
    Collection,
    Judge,
)
from eval.answers.texts import AskedText, Pool
from eval.progress import track
from knowledge_base.embedder import Embedder

Matrix = NDArray[np.float64]

_FIRST = 60
_NEVER = 9.0
"""Logarithm of the place of a word that does not occur: later than any."""
_JUDGED = 3
COMPARED = (
    "bm25", "bm25_title", "held", "held_title", "held_head", "held_first", "missing",
    "head_asked", "head_written", "head_matched", "head_extra", "first_place", "density",
    "pairs_title", "aspect_shared", "aspect_of_it", "near_title", "near_head", "near_whole",
    "near_sentence", "near_three", "near_sentences", "near_title_last", "subject_near_head",
    "others_words", "others_fitting", "others_vectors", "others_same_head", "others_head", "length",
    "judged", "judged_opening",
)  # fmt: skip
"""Features that are also told relative to the question's other answers."""


def features(
    pools: Sequence[Pool], embedder: Embedder, judge: Judge | None = None
) -> tuple[tuple[str, ...], list[Matrix]]:
    """Names [F], and for each question a matrix [answers, F].

    Words are rare or common among the answers of all `pools`.
    """
    collection = Collection(pools, embedder)
    rows = [_alone(p, collection, judge) for p in track(pools, len(pools), "features")]
    names = tuple(rows[0])
    alone = [np.stack([found[name] for name in names], axis=1) for found in rows]
    compared = [i for i, name in enumerate(names) if name in COMPARED]
    told = ("below_best", "deviation", "rank", "best", "mean")
    all_names = (*names, *(f"{t}_{names[i]}" for t in told for i in compared), "answers")
    return all_names, [_with_relative(m, compared) for m in alone]


def _with_relative(matrix: Matrix, compared: Sequence[int]) -> Matrix:
    values = matrix[:, compared]
    ones = np.ones((len(values), 1))
    best, mean = values.max(axis=0), values.mean(axis=0)
    beaten = (values[:, None] > values[None]).mean(axis=1)
    tied = (values[:, None] == values[None]).mean(axis=1)
    return np.hstack(
        [
            matrix,
            best - values,
            (values - mean) / (values.std(axis=0) + 1e-6),
            beaten + tied / 2,
            ones * best,
            ones * mean,
            ones * len(values),
        ]
    )


def _alone(pool: Pool, collection: Collection, judge: Judge | None) -> dict[str, Matrix]:
    """Each feature as an array [answers]."""
    asked = AskedText(pool.question)
    answers = [collection.answers[text] for text in pool.answers]
    by_answer = [
        {
            **words.words(asked, a, collection),
            **words.head(asked, a, collection),
            **words.concepts(asked, a, collection),
            **words.form(asked, a, collection),
        }
        for a in answers
    ]
    found = {name: np.array([float(f[name]) for f in by_answer]) for name in by_answer[0]}
    for name, query in (("bm25", asked.text), ("bm25_subject", asked.subject)):
        scores = collection.bm25(query, pool.answers)
        found |= {name: scores[:, 0], f"{name}_title": scores[:, 1]}
    found |= words.aspects(asked, answers, found["head_written"])
    found |= meaning.vectors(asked, answers, collection)
    found |= meaning.others(answers, collection, found["head_written"] * found["held"])
    if judge is not None:
        found |= meaning.judged(pool, collection, judge)
    return found
