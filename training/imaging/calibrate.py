"""Turns logits into an operating point: probabilities, threshold, prediction sets, distance.

Everything is fitted on patients that neither trained the network nor report its figures, seen as
they are and under every stress transform, so that the operating point carries a margin for images
acquired elsewhere. numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.calibration import softmax

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]
Truth = npt.NDArray[np.bool_]


def fit_scaling(logits: Floats, labels: npt.NDArray[np.int64]) -> tuple[float, Doubles]:
    """(temperature, bias [C]) with probabilities softmax((logits + bias) / temperature).

    Bias-corrected temperature scaling (Alexandari et al., ICML 2020); Platt scaling where C is 2.
    A network trained on balanced draws needs the bias to state probabilities for the data's own
    share of disease. Newton's method on logits [N, C], with a little ridge, so that perfectly
    separable scores stay finite.
    """
    z, count = np.asarray(logits, dtype=np.float64), logits.shape[1]
    z = z - z.mean(axis=1, keepdims=True)
    onehot = np.eye(count)[labels]
    slopes = np.concatenate(
        [z[:, :, None], np.broadcast_to(np.eye(count)[:, 1:], (len(z), count, count - 1))], axis=2
    )  # [N, C, parameters]: what each logit gains from the inverse temperature and each bias
    theta = np.concatenate([[1.0], np.zeros(count - 1)])
    ridge = 1e-4 * np.eye(count)
    for _ in range(60):
        p = softmax(np.einsum("ncp,p->nc", slopes, theta))
        gradient = np.einsum("nc,ncp->p", p - onehot, slopes) / len(z) + ridge @ theta
        mean = np.einsum("nc,ncp->np", p, slopes)
        second = np.einsum("nc,ncp,ncq->pq", p, slopes, slopes) - mean.T @ mean
        step = np.linalg.solve(second / len(z) + ridge, gradient)
        theta = theta - np.clip(step, -1.0, 1.0)
        if float(np.abs(step).max()) < 1e-10:
            break
    slope = max(float(theta[0]), 1e-3)
    bias = np.concatenate([[0.0], theta[1:]]) / slope
    return 1.0 / slope, np.asarray(bias, dtype=np.float64)


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
    views: Sequence[Doubles], labels: npt.NDArray[np.int64], coverage: float
) -> float:
    """Split-conformal quantile of 1 - p(true label), with the finite-sample correction.

    views: probabilities [N, C] of the same N images seen in several ways. The correction counts
    images, since ways of seeing one image are no new ones (Vovk et al. 2005: the smallest score
    that at least ceil((N + 1) coverage) of N images reach).
    """
    scores = np.sort(np.concatenate([1.0 - p[np.arange(len(labels)), labels] for p in views]))
    share = min(1.0, math.ceil((len(labels) + 1) * coverage) / len(labels))
    # Rounding first: 0.91 * 100 is 91.00000000000001.
    return float(scores[math.ceil(round(share * len(scores), 6)) - 1])


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


def project(features: Floats, projection: Projection) -> Doubles:
    """Features [N, D] -> [N, K + 1], as `Projection` says."""
    centred = np.asarray(features, dtype=np.float64) - projection.mean
    coordinates = centred @ projection.basis
    left = centred - coordinates @ projection.basis.T
    size = np.sqrt((left**2).sum(axis=1, keepdims=True)) / projection.residual_scale
    found: Doubles = np.concatenate([coordinates / projection.deviation, size], axis=1)
    return found


def fit_gaussian(features: Floats) -> tuple[Doubles, Doubles]:
    """Mean [D] and precision [D, D] of features [N, D], shrunk a little to the diagonal."""
    x = np.asarray(features, dtype=np.float64)
    mean = x.mean(axis=0)
    covariance = np.cov(x, rowvar=False)
    shrunk = 0.98 * covariance + np.diag(0.02 * np.diag(covariance) + 1e-9)
    precision: Doubles = np.linalg.inv(shrunk).astype(np.float64)
    return np.asarray(mean, dtype=np.float64), precision
