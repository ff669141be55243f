"""From logits to numbers that mean something: probabilities, prediction sets, distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.manifest import Conformal, OutOfDistribution

Doubles = NDArray[np.float64]


def softmax(logits: NDArray[np.generic], temperature: float = 1.0) -> Doubles:
    """Probabilities [N, C] of softmax(logits / temperature) (Guo et al. 2017)."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponent: Doubles = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    total: Doubles = exponent / exponent.sum(axis=1, keepdims=True)
    return total


def prediction_set(probabilities: Doubles, conformal: Conformal) -> list[int]:
    """Indices [C] of the labels in the set: those with 1 - p at most the quantile (LAC).

    Sadinle, Lei and Wasserman 2019. The set may be empty: then no label fits.
    """
    if conformal.method != "lac":
        raise ValueError(f"unknown conformal method {conformal.method}")
    return [i for i, p in enumerate(probabilities) if 1.0 - p <= conformal.quantile]


def mahalanobis(features: NDArray[np.generic], mean: Doubles, precision: Doubles) -> Doubles:
    """Squared Mahalanobis distance [N] of features [N, D]."""
    centred = np.asarray(features, dtype=np.float64) - mean
    distance: Doubles = np.einsum("nd,de,ne->n", centred, precision, centred)
    return distance


def ood_score(features: NDArray[np.generic], ood: OutOfDistribution) -> Doubles:
    """The out-of-distribution score [N] of pooled features [N, D]; above the threshold, abstain."""
    if ood.method != "mahalanobis":
        raise ValueError(f"unknown out-of-distribution method {ood.method}")
    mean = np.asarray(ood.statistics["mean"])
    precision = np.asarray(ood.statistics["precision"]).reshape(len(mean), len(mean))
    return mahalanobis(features, mean, precision)
