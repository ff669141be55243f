"""The logistic regression that the benchmark `answers` fits for itself; nothing of it is shipped.

A function of its input: no seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PENALTIES = (1000.0, 300.0, 100.0)
"""The strongest first: each fit begins where the last one ended."""
_FARTHEST = 4.0
_STEPS = 15
_SMALL = 1e-3

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Logistic:
    """Weights over standardised features, clipped at four deviations so that no odd row rules."""

    mean: Matrix
    deviation: Matrix
    weights: Matrix
    penalty: float

    def probabilities(self, features: Matrix) -> Matrix:
        """[N] of features [N, F]."""
        rows = _with_one(_standardised(features, self.mean, self.deviation))
        return _logistic(rows @ self.weights)


def fit(features: Matrix, truth: Flags, fold: NDArray[np.int64]) -> Logistic:
    """Fit on features [N, F]; the penalty is the one whose log loss over `fold` [N] is least."""
    loss = np.zeros(len(PENALTIES))
    for number in np.unique(fold):
        held = fold == number
        if not truth[held].size or truth[~held].all() or not truth[~held].any():
            continue
        for i, model in enumerate(_path(features[~held], truth[~held])):
            sure = np.clip(model.probabilities(features[held]), 1e-9, 1 - 1e-9)
            loss[i] -= np.log(np.where(truth[held], sure, 1 - sure)).sum()
    return _path(features, truth)[int(np.argmin(loss))]


def _path(features: Matrix, truth: Flags) -> list[Logistic]:
    """A model for each penalty, by Newton's method (Hastie, Tibshirani and Friedman 2009, 4.4)."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    rows = _with_one(_standardised(features, mean, deviation))
    weights = np.zeros(rows.shape[1])
    found = []
    for penalty in PENALTIES:
        ridge = np.full(len(weights), penalty)
        ridge[0] = 1e-6  # the intercept is free
        for _ in range(_STEPS):
            sure = _logistic(rows @ weights)
            slope = rows.T @ (truth - sure) - ridge * weights
            curve = (rows.T * (sure * (1 - sure))) @ rows + np.diag(ridge)
            step = np.linalg.solve(curve, slope)
            weights = weights + step
            if np.abs(step).max() < _SMALL:
                break
        found.append(Logistic(mean, deviation, weights, penalty))
    return found


def _standardised(features: Matrix, mean: Matrix, deviation: Matrix) -> Matrix:
    return np.clip((features - mean) / deviation, -_FARTHEST, _FARTHEST)


def _with_one(rows: Matrix) -> Matrix:
    return np.hstack([np.ones((len(rows), 1)), rows])


def _logistic(odds: Matrix) -> Matrix:
    return np.asarray(1.0 / (1.0 + np.exp(-odds)))
