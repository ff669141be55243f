"""What an imaging question's answers are worth against the truth: the metrics, defined once.

Each is a function of rows, so that whoever measures (training on what it held out, evaluation on
a file) can resample patients for an interval.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.imaging.questions import Doubles, Question
from models.metrics import (
    Statistic,
    balanced_accuracy,
    expected_calibration_error,
    macro_auc,
    quadratic_kappa,
    sensitivity_specificity,
)

Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judged:
    """Truth [N] and calibrated probabilities [N, C] of one question."""

    question: Question
    labels: Labels
    probabilities: Doubles

    def take(self, rows: Labels) -> Judged:
        """Some rows."""
        return Judged(self.question, self.labels[rows], self.probabilities[rows])

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the forced answer is the truth [N]."""
        found: NDArray[np.bool_] = self.question.answers(self.probabilities) == self.labels
        return found


def statistics(seen: Judged) -> dict[str, Statistic]:
    """Every metric by name. Without a threshold sensitivity and specificity are nan."""
    question, labels, p = seen.question, seen.labels, seen.probabilities
    answers, right = question.answers(p), seen.right
    best, claimed = p.argmax(axis=1), p.max(axis=1)
    found: dict[str, Statistic] = {
        "auc": lambda rows: macro_auc(labels[rows], p[rows]),
        "accuracy": lambda rows: float(np.mean(right[rows])),
        "balanced_accuracy": lambda rows: balanced_accuracy(labels[rows], answers[rows]),
        "sensitivity": _rate(seen, 0),
        "specificity": _rate(seen, 1),
        "ece": lambda rows: expected_calibration_error(best[rows] == labels[rows], claimed[rows]),
    }
    if len(question.labels) > 2:
        found["quadratic_kappa"] = lambda rows: quadratic_kappa(labels[rows], answers[rows])
    if question.conformal is not None:
        covered = question.sets(p)[np.arange(len(labels)), labels]
        found["set_coverage"] = lambda rows: float(np.mean(covered[rows]))
    return found


def joint_accuracy(seen: Iterable[Judged]) -> Statistic | None:
    """Every question right; research-only ones don't count. None for fewer than two."""
    deciding = [one for one in seen if not one.question.research_only]
    if len(deciding) < 2:
        return None
    right = np.all([one.right for one in deciding], axis=0)
    return lambda rows: float(np.mean(right[rows]))


def _rate(seen: Judged, which: int) -> Statistic:
    """Sensitivity (0) or specificity (1) at the shipped threshold."""
    point = seen.question.point
    if point is None:
        return lambda _rows: float(np.nan)
    positive, score = np.isin(seen.labels, point.labels), point.score(seen.probabilities)
    return lambda rows: sensitivity_specificity(positive[rows], score[rows], point.threshold)[which]
