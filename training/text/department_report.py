"""Measures department scores against a file's labels, through the crosswalk, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowledge_base.lexicon.departments import Crosswalk
from models.calibration import softmax
from models.manifest import Metric
from models.metrics import (
    Interval,
    accuracy,
    bootstrap_interval,
    expected_calibration_error,
    macro_f1,
    wilson_interval,
)

Doubles = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """Probabilities [N, K] over a file's `labels`, and the right one of each row [N]."""

    labels: tuple[str, ...]
    probabilities: Doubles
    truth: Rows

    @property
    def guess(self) -> Rows:
        """The most probable label of each row."""
        best: Rows = self.probabilities.argmax(axis=1).astype(np.int64)
        return best


def label_matrix(crosswalk: Crosswalk, codes: Sequence[str], labels: Sequence[str]) -> Doubles:
    """[C, K] with 1 where a code is counted as a label: the sums of `Crosswalk.to_label`."""
    matrix = np.zeros((len(codes), len(labels)))
    for row, code in enumerate(codes):
        label = crosswalk.label_of(code)
        if label is not None:
            matrix[row, labels.index(label)] = 1.0
    return matrix


def labelled(
    scores: NDArray[np.float32], truth: Sequence[str], crosswalk: Crosswalk,
    codes: Sequence[str], temperature: float,
) -> Labelled:  # fmt: skip
    """Scores [N, C] over our codes as probabilities over the file's labels."""
    labels = tuple(sorted(crosswalk.labels))
    sums = softmax(scores, temperature) @ label_matrix(crosswalk, codes, labels)
    sums = sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-12)
    return Labelled(labels, sums, np.array([labels.index(t) for t in truth]))


def _metric(value: float, interval: Interval) -> Metric:
    return Metric(value=value, low=interval.low, high=interval.high)


def measure(found: Labelled) -> dict[str, Metric]:
    """accuracy, macro_f1 (labels of 10 rows or more: `macro_f1_common`), top3, ece, n.

    Each label of fewer than 10 rows is reported alone, as `recall_LABEL` with Wilson's interval.
    """
    truth, guess, n = found.truth, found.guess, len(found.truth)
    counts = np.bincount(truth, minlength=len(found.labels))
    order = np.argsort(-found.probabilities, axis=1)[:, :3]
    near = (order == truth[:, None]).any(axis=1)
    confidence = found.probabilities.max(axis=1)

    def common(rows: Rows) -> float:
        some = np.flatnonzero(counts >= 10)
        scores = []
        for label in some:
            hit = float(np.sum((truth[rows] == label) & (guess[rows] == label)))
            both = float(np.sum(truth[rows] == label) + np.sum(guess[rows] == label))
            scores.append(2 * hit / both if both else 0.0)
        return float(np.mean(scores))

    def ece(rows: Rows) -> float:
        return expected_calibration_error((truth == guess)[rows], confidence[rows])

    def f1(rows: Rows) -> float:
        return macro_f1(truth[rows], guess[rows])

    everything = np.arange(n)
    metrics = {
        "n": Metric(value=n),
        "accuracy": _metric(
            accuracy(truth, guess), wilson_interval(int((truth == guess).sum()), n)
        ),
        "macro_f1": _metric(f1(everything), bootstrap_interval(f1, n, samples=300)),
        "macro_f1_common": _metric(common(everything), bootstrap_interval(common, n, samples=300)),
        "top3": _metric(float(near.mean()), wilson_interval(int(near.sum()), n)),
        "ece": Metric(value=ece(everything)),
    }
    for label in np.flatnonzero((counts > 0) & (counts < 10)):
        rows = truth == label
        hits = int((guess[rows] == label).sum())
        metrics[f"recall_{found.labels[label]}"] = _metric(
            hits / int(rows.sum()), wilson_interval(hits, int(rows.sum()))
        )
    return metrics
