"""Metrics of classifiers, in plain numpy: evaluation, training and model cards share them.

Binary functions take labels 0 / 1 and scores where higher means 1. Sets too small for a metric
(no positives, say) give nan, never an invented number. Intervals are 95 % unless told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.integer] | npt.NDArray[np.bool_]
Scores = npt.NDArray[np.floating]
Statistic = Callable[[npt.NDArray[np.int64]], float]


class Rates(NamedTuple):
    """Sensitivity and specificity, each a fraction or nan."""

    sensitivity: float
    specificity: float


class Interval(NamedTuple):
    """Lower and upper bound."""

    low: float
    high: float


def accuracy(labels: Labels, predicted: Labels) -> float:
    """Fraction of equal entries."""
    return float(np.mean(np.asarray(labels) == np.asarray(predicted))) if len(labels) else np.nan


def auc(labels: Labels, scores: Scores) -> float:
    """Area under the ROC curve: P(score of a positive > of a negative), ties count half."""
    positive = np.asarray(labels) == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if n_positive == 0 or n_negative == 0:
        return np.nan
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = (np.cumsum(counts) - (counts - 1) / 2.0)[inverse]
    rank_sum = float(mean_rank[positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2.0) / (n_positive * n_negative)


def macro_auc(labels: Labels, probabilities: Scores) -> float:
    """Mean one-vs-rest AUC of probabilities [N, C] over the classes that occur."""
    truth = np.asarray(labels)
    values = [auc(truth == c, probabilities[:, c]) for c in range(probabilities.shape[1])]
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def sensitivity_specificity(labels: Labels, scores: Scores, threshold: float) -> Rates:
    """Rates when score >= threshold is called positive."""
    positive = np.asarray(labels) == 1
    called = np.asarray(scores) >= threshold
    sensitivity = float(called[positive].mean()) if positive.any() else np.nan
    specificity = float((~called)[~positive].mean()) if (~positive).any() else np.nan
    return Rates(sensitivity, specificity)


def balanced_accuracy(labels: Labels, predicted: Labels) -> float:
    """Mean recall over the classes that occur in `labels`."""
    truth, guess = np.asarray(labels), np.asarray(predicted)
    recalls = [float(np.mean(guess[truth == c] == c)) for c in np.unique(truth)]
    return float(np.mean(recalls)) if recalls else np.nan


def macro_f1(labels: Labels, predicted: Labels) -> float:
    """Unweighted mean F1 over the classes that occur in labels or predictions."""
    truth, guess = np.asarray(labels), np.asarray(predicted)
    values = []
    for c in np.union1d(truth, guess):
        hit = float(np.sum((truth == c) & (guess == c)))
        values.append(2.0 * hit / float(np.sum(truth == c) + np.sum(guess == c)))
    return float(np.mean(values)) if values else np.nan


def quadratic_kappa(labels: Labels, predicted: Labels) -> float:
    """Cohen's kappa with quadratic weights for ordered integer grades (Cohen 1968)."""
    truth, guess = np.asarray(labels, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if len(truth) == 0:
        return np.nan
    observed = float(np.mean((truth - guess) ** 2))
    # Expected squared distance of independent draws from the two marginals.
    expected = float(np.mean(truth**2) + np.mean(guess**2) - 2.0 * truth.mean() * guess.mean())
    return 1.0 - observed / expected if expected > 0 else np.nan


def expected_calibration_error(
    correct: Labels, confidence: Scores, *, bins: int = 15, debiased: bool = True
) -> float:
    """Expected calibration error over `bins` bins of equal mass.

    `correct` [N] is 0 / 1, `confidence` [N] the probability claimed. Debiased: the l2 error of
    Kumar, Liang and Ma (NeurIPS 2019, "Verified uncertainty calibration"), which takes the
    variance of each bin's mean away, floored at zero; otherwise the usual l1 plug-in.
    """
    hit, claim = np.asarray(correct, dtype=np.float64), np.asarray(confidence, dtype=np.float64)
    if len(hit) == 0:
        return np.nan
    order = np.argsort(claim, kind="stable")
    total = 0.0
    for rows in np.array_split(order, min(bins, len(hit))):
        gap = float(hit[rows].mean() - claim[rows].mean())
        weight = len(rows) / len(hit)
        if not debiased:
            total += weight * abs(gap)
        elif len(rows) > 1:
            mean = float(hit[rows].mean())
            total += weight * (gap**2 - mean * (1.0 - mean) / (len(rows) - 1))
    return float(np.sqrt(max(0.0, total))) if debiased else total


def bootstrap_interval(
    statistic: Statistic,
    n: int,
    *,
    groups: npt.NDArray[np.integer] | None = None,
    samples: int = 1000,
    seed: int = 0,
    coverage: float = 0.95,
) -> Interval:
    """Percentile interval of statistic(rows) over resamples with replacement of `n` rows.

    With `groups` [n] whole groups (patients) are drawn: their images are not independent.
    Resamples where the statistic is nan are left out.
    """
    rng = np.random.default_rng(seed)
    members: list[npt.NDArray[np.int64]] | None = None
    if groups is not None:
        members = [np.flatnonzero(groups == g).astype(np.int64) for g in np.unique(groups)]
    values = []
    for _ in range(samples):
        if members is None:
            rows = rng.integers(0, n, n)
        else:
            drawn = rng.integers(0, len(members), len(members))
            rows = np.concatenate([members[i] for i in drawn])
        value = statistic(rows)
        if not np.isnan(value):
            values.append(value)
    if not values:
        return Interval(np.nan, np.nan)
    tail = (1.0 - coverage) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return Interval(float(low), float(high))


def wilson_interval(successes: int, n: int, z: float = 1.959964) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927)."""
    if n == 0:
        return Interval(np.nan, np.nan)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))
