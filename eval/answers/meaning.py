"""Features of `answers` that models and the question's other answers give."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eval.answers.collection import (
    Collection,
    Judge,
    asked_sentences,
    headed,
    opening,
    titled,
)
from eval.answers.texts import AnswerText, AskedText, Pool

Matrix = NDArray[np.float64]

_JUDGED = 3
"""Sentences that the reranker reads beside an answer's opening."""
_OPENING = 600
"""Characters: more than the reranker reads."""


def vectors(
    asked: AskedText, answers: Sequence[AnswerText], collection: Collection
) -> dict[str, Matrix]:
    """Cosines of the embedding model."""
    question, subject = collection.vectors([asked.text, asked.subject])
    message = collection.vectors(asked_sentences(asked))
    title, head, whole = (
        collection.vectors([part(a) for a in answers]) for part in (titled, headed, opening)
    )
    found = {
        "near_title": title @ question,
        "near_head": head @ question,
        "near_whole": whole @ question,
        "subject_near_title": title @ subject,
        "subject_near_head": head @ subject,
        "subject_near_whole": whole @ subject,
        "near_title_last": title @ message[-1],
        "near_title_sentence": (title @ message.T).max(axis=1),
        "near_head_sentence": (head @ message.T).max(axis=1),
    }
    by_sentence = []
    for answer in answers:
        vectors = collection.vectors(collection.sentences[answer.text])
        cosines, pairs = vectors @ question, (vectors @ message.T)
        nearest = pairs.max(axis=1)
        by_sentence.append(
            {
                "near_sentence": cosines.max(),
                "near_three": np.sort(cosines)[-3:].mean(),
                "near_mean": cosines.mean(),
                "near_first": cosines[0],
                "near_sentences": nearest.max(),
                "near_sentences_three": np.sort(nearest)[-3:].mean(),
                "near_last": pairs[:, -1].max(),
            }
        )
    found |= {name: np.array([f[name] for f in by_sentence]) for name in by_sentence[0]}
    return {name: np.asarray(values, dtype=np.float64) for name, values in found.items()}


def others(
    answers: Sequence[AnswerText], collection: Collection, fitting: Matrix
) -> dict[str, Matrix]:
    """How far the question's other answers speak of the same; `fitting` [answers] is how well
    each fits the question."""
    weighted = [_weighted(a, collection) for a in answers]
    words = np.array([[_cosine(a, b) for b in weighted] for a in weighted])
    vectors = collection.vectors([opening(a) for a in answers])
    heads = [a.head_tokens for a in answers]
    same = np.array([[float(a == b) for b in heads] for a in heads])
    overlap = np.array([[len(a & b) / max(1, len(a | b)) for b in heads] for a in heads])
    apart = 1.0 - np.eye(len(answers))
    n = max(1, len(answers) - 1)
    return {
        "others_words": (words * apart).sum(axis=1) / n,
        "others_nearest": (words * apart).max(axis=1),
        "others_vectors": ((vectors @ vectors.T) * apart).sum(axis=1) / n,
        "others_same_head": (same * apart).sum(axis=1) / n,
        "others_head": (overlap * apart).sum(axis=1) / n,
        "others_fitting": (words * apart) @ fitting / (apart @ fitting + 0.1),
    }


def _weighted(answer: AnswerText, collection: Collection) -> dict[str, float]:
    """Its words, logarithm of their count times rarity, as a vector of length 1."""
    counts = Counter(answer.tokens)
    found = {t: (1 + math.log(c)) * collection.rarity(t) for t, c in counts.items()}
    norm = math.sqrt(sum(w * w for w in found.values())) or 1.0
    return {token: weight / norm for token, weight in found.items()}


def _cosine(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    return sum(weight * b.get(token, 0.0) for token, weight in a.items())


def judged(pool: Pool, collection: Collection, judge: Judge) -> dict[str, Matrix]:
    """The reranker's probability for the opening, and the best of it and the nearest sentences."""
    [question] = collection.vectors([pool.question])
    passages: list[str] = []
    starts = []
    for text in pool.answers:
        parts = collection.sentences[text]
        nearest = np.argsort(-(collection.vectors(parts) @ question), kind="stable")[:_JUDGED]
        title = titled(collection.answers[text])
        starts.append(len(passages))
        passages += [text[:_OPENING], *(f"{title}. {parts[i]}" for i in nearest)]
    sure = judge(pool.question, passages).astype(np.float64)
    return {"judged": np.maximum.reduceat(sure, starts), "judged_opening": sure[starts]}
