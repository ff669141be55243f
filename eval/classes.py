"""What every benchmark with classes reports: per-class scores, F1 averages, confusion counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from eval.result import ClassScore, Confusion

Indices = npt.NDArray[np.int64]


def confusion(
    truth: Sequence[str], answer: Sequence[str], truths: Sequence[str], answers: Sequence[str]
) -> Confusion:
    """Counts over the given labels, in their order; every entry must be among them."""
    rows, columns = ({label: i for i, label in enumerate(ls)} for ls in (truths, answers))
    counts = np.zeros((len(truths), len(answers)), dtype=np.int64)
    for true, answered in zip(truth, answer, strict=True):
        counts[rows[true], columns[answered]] += 1
    return Confusion(
        tuple(truths), tuple(answers), tuple(tuple(int(c) for c in row) for row in counts)
    )


def class_scores(
    truth: Sequence[str], answer: Sequence[str], labels: Collection[str]
) -> tuple[ClassScore, ...]:
    """Scores of every label, the most frequent first; precision is nan where none was answered."""
    true, given = np.asarray(truth), np.asarray(answer)
    scores = []
    for label in labels:
        hit = float(np.sum((true == label) & (given == label)))
        n, answered = int(np.sum(true == label)), int(np.sum(given == label))
        scores.append(
            ClassScore(
                label,
                n,
                hit / answered if answered else np.nan,
                hit / n if n else np.nan,
                2 * hit / (n + answered) if n + answered else np.nan,
            )
        )
    return tuple(sorted(scores, key=lambda s: (-s.n, s.label)))


def macro_f1_of(truth: Indices, answer: Indices, classes: Collection[int]) -> float:
    """Mean F1 over `classes`, without those that neither occur nor are answered in these rows."""
    values = []
    for c in classes:
        true, given = truth == c, answer == c
        total = int(true.sum() + given.sum())
        if total:
            values.append(2.0 * float((true & given).sum()) / total)
    return float(np.mean(values)) if values else np.nan
