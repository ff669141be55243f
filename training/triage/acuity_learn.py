"""The learners of the acuity models: three small ones whose probabilities are averaged.

Ordinal logistic regression, extremely randomised trees and gradient boosting err differently on a
few hundred rows, and all three are small enough to ship in one ONNX file. N-grams of the note
beside the features added nothing: the presentations hold it. Nothing here measures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from models.calibration import Doubles
from training.triage.acuity_config import ModelConfig
from training.triage.acuity_data import AcuityData, Levels

LEVELS = 5
CLIP = 4.0
"""Standard deviations beyond which a number says no more to the linear model."""
SMALLEST = 1e-6
_NEVER = 8.0
"""The score of a level that no row has: a probability of 0.0003."""
Rows = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Ordinal:
    """P(level > k) = sigmoid(z @ weight + bias), made monotone in k.

    z are features less `mean` [F] over `deviation` [F], clipped; weight [F, 4], bias [4].
    """

    mean: Doubles
    deviation: Doubles
    weight: Doubles
    bias: Doubles

    def probabilities(self, features: Floats) -> Doubles:
        """Probabilities [N, 5]."""
        z = np.clip((features - self.mean) / self.deviation, -CLIP, CLIP)
        above = 1.0 / (1.0 + np.exp(-(z @ self.weight + self.bias)))
        above = np.minimum.accumulate(above, axis=1)
        edges = np.hstack([np.ones((len(above), 1)), above, np.zeros((len(above), 1))])
        found: Doubles = edges[:, :-1] - edges[:, 1:]
        return found


@dataclass(frozen=True)
class Ensemble:
    """The three learners of one model."""

    ordinal: Ordinal
    forest: ExtraTreesClassifier
    boosting: GradientBoostingClassifier

    def probabilities(self, features: Floats) -> Doubles:
        """Averaged probabilities [N, 5]."""
        total: Doubles = (
            self.ordinal.probabilities(features)
            + _every_level(self.forest, features)
            + _every_level(self.boosting, features)
        )
        return total / 3.0


def _every_level(
    learner: ExtraTreesClassifier | GradientBoostingClassifier, features: Floats
) -> Doubles:
    """Probabilities [N, 5] with 0 for levels that the learner never saw."""
    found = np.zeros((len(features), LEVELS))
    found[:, learner.classes_] = learner.predict_proba(features)
    return found


def fit(data: AcuityData, rows: Rows, config: ModelConfig, seed: int) -> Ensemble:
    """Learn from some rows; the same seed gives the same ensemble."""
    features, levels = data.features[rows], data.levels[rows]
    forest, boosting = config.forest, config.boosting
    return Ensemble(
        _fit_ordinal(features, levels, config.linear.cost),
        ExtraTreesClassifier(
            forest.trees, min_samples_leaf=forest.leaf, max_features=forest.features,
            random_state=seed,
        ).fit(features, levels),
        GradientBoostingClassifier(
            n_estimators=boosting.rounds, learning_rate=boosting.rate,
            max_depth=boosting.depth, min_samples_leaf=boosting.leaf,
            max_features=boosting.features, subsample=boosting.rows, random_state=seed,
        ).fit(features, levels),
    )  # fmt: skip


def _fit_ordinal(features: Floats, levels: Levels, cost: float) -> Ordinal:
    exact = features.astype(np.float64)
    mean, deviation = exact.mean(axis=0), exact.std(axis=0)
    # A feature that never varied here says nothing: a huge deviation keeps it at zero.
    deviation = np.where(deviation < SMALLEST, 1.0 / SMALLEST, deviation)
    z = np.clip((exact - mean) / deviation, -CLIP, CLIP)
    weight = np.zeros((z.shape[1], LEVELS - 1))
    bias = np.zeros(LEVELS - 1)
    for k in range(LEVELS - 1):
        above = levels > k
        if above.all() or not above.any():  # a level that these rows do not have
            bias[k] = _NEVER if above.all() else -_NEVER
            continue
        machine = LogisticRegression(C=cost, max_iter=3000).fit(z, above)
        weight[:, k], bias[k] = machine.coef_[0], machine.intercept_[0]
    return Ordinal(mean, deviation, weight, bias)
