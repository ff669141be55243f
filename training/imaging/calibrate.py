"""Turns logits into an operating point: probabilities, threshold, prediction sets, distance.

Everything is fitted on patients that neither trained the network nor report its figures, seen as
they are and under every stress transform, so that the operating point carries a margin for images
acquired elsewhere. numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]
Truth = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class View:
    """Outputs for one rendering of a set: logits [N, C], features [N, D]."""

    logits: Floats
    features: Floats


def fit_platt(margin: Floats, positive: Truth) -> tuple[float, float]:
    """(temperature, bias) with P(positive) = sigmoid((margin + bias) / temperature).

    Platt scaling: logistic regression on the logit margin [N], by Newton's method with a little
    ridge, so that perfectly separable scores stay finite. A network trained on balanced draws
    needs the bias to state probabilities for the data's own share of disease.
    """
    m, target = np.asarray(margin, dtype=np.float64), positive.astype(np.float64)
    design = np.stack([m, np.ones_like(m)], axis=1)
    beta, ridge = np.array([1.0, 0.0]), 1e-4 * np.eye(2)
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(design @ beta, -40, 40)))
        weight = np.maximum(p * (1 - p), 1e-9)
        gradient = design.T @ (target - p) / len(m) - ridge @ beta
        hessian = (design * weight[:, None]).T @ design / len(m) + ridge
        step = np.linalg.solve(hessian, gradient)
        beta = beta + np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-10:
            break
    slope = max(float(beta[0]), 1e-3)
    return 1.0 / slope, float(beta[1]) / slope


def choose_threshold(
    scores: Mapping[str, Doubles],
    positive: Truth,
    *,
    min_sensitivity: float,
    min_specificity: float,
    lean: float,
) -> float:
    """A probability threshold that holds in every view, or the best compromise.

    The highest threshold that keeps `min_sensitivity` in the worst view and the lowest that keeps
    `min_specificity` in the worst view bound an interval; `lean` (0..1) says how far towards the
    former the threshold goes, measured in log-odds. If they cross, sensitivity wins.
    """
    highest = min(
        float(np.quantile(s[positive], 1.0 - min_sensitivity, method="lower"))
        for s in scores.values()
    )
    lowest = max(
        float(np.quantile(s[~positive], min_specificity, method="higher")) for s in scores.values()
    )
    if lowest >= highest:
        return highest
    a, b = _log_odds(lowest), _log_odds(highest)
    return float(1.0 / (1.0 + np.exp(-(a + lean * (b - a)))))


def _log_odds(p: float) -> float:
    p = min(max(p, 1e-9), 1 - 1e-9)
    return float(np.log(p / (1 - p)))


def conformal_quantile(
    probabilities: Doubles, labels: npt.NDArray[np.int64], coverage: float
) -> float:
    """Split-conformal quantile of 1 - p(true label), with the finite-sample correction."""
    scores = 1.0 - probabilities[np.arange(len(labels)), labels]
    n = len(scores)
    level = min(1.0, np.ceil((n + 1) * coverage) / n)
    return float(np.quantile(scores, level, method="higher"))


@dataclass(frozen=True, slots=True)
class Projection:
    """Pooled features [D] -> K whitened principal components and the size of what is left over.

    out = [(x - mean) @ components, |x - mean - back-projection| / residual_scale], K + 1 numbers.
    The network carries it inside, so that the distance needs a small matrix only.
    """

    mean: Doubles
    basis: Doubles
    deviation: Doubles
    residual_scale: float


def fit_projection(features: Floats, components: int) -> Projection:
    """Principal components of features [N, D]; fewer than asked when D or N is small."""
    x = np.asarray(features, dtype=np.float64)
    mean = x.mean(axis=0)
    _, singular, rows = np.linalg.svd(x - mean, full_matrices=False)
    keep = min(components, len(singular), x.shape[1] - 1)
    basis = rows[:keep].T
    deviation = np.maximum(singular[:keep] / np.sqrt(len(x)), 1e-6)
    left = (x - mean) - (x - mean) @ basis @ basis.T
    scale = float(np.sqrt(np.mean(np.sum(left**2, axis=1)))) + 1e-6
    return Projection(mean, basis, deviation, scale)


def fit_gaussian(features: Floats) -> tuple[Doubles, Doubles]:
    """Mean [D] and precision [D, D] of features [N, D], shrunk a little to the diagonal."""
    x = np.asarray(features, dtype=np.float64)
    mean = x.mean(axis=0)
    covariance = np.cov(x, rowvar=False)
    shrunk = 0.98 * covariance + np.diag(0.02 * np.diag(covariance) + 1e-9)
    precision: Doubles = np.linalg.inv(shrunk).astype(np.float64)
    return np.asarray(mean, dtype=np.float64), precision
