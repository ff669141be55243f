"""What an imaging question's answers are worth against the truth: the metrics, defined once.

Each is a function of rows, so that whoever measures (training on what it held out, evaluation on
a file) can resample patients for an interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
Truth = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judged:
    """What one question said of N pictures, and the truth. Made by `judge`.

    labels, answers [N]: the truth and the forced answer; probabilities [N, C], calibrated;
    positive, reached [N]: whether the threshold's labels hold, and whether it says so (None
    without a threshold); sets [N, C]: the prediction sets.
    """

    question: Question
    labels: Labels
    probabilities: Doubles
    answers: Labels
    positive: Truth | None
    reached: Truth | None
    sets: Truth

    def take(self, rows: Labels) -> Judged:
        """Some rows."""
        return Judged(
            self.question,
            self.labels[rows],
            self.probabilities[rows],
            self.answers[rows],
            None if self.positive is None else self.positive[rows],
            None if self.reached is None else self.reached[rows],
            self.sets[rows],
        )

    @property
    def right(self) -> Truth:
        """Whether the forced answer is the truth [N]."""
        found: Truth = self.answers == self.labels
        return found


def judge(question: Question, labels: Labels, probabilities: Doubles) -> Judged:
    """The question's own reading of probabilities [N, C] beside the truth [N]."""
    point = question.point
    return Judged(
        question,
        labels,
        probabilities,
        question.answers(probabilities),
        None if point is None else np.isin(labels, point.labels),
        None if point is None else point.positive(probabilities),
        question.sets(probabilities),
    )


def together(parts: Sequence[Judged]) -> Judged:
    """Rows of one question that were read with a calibration each, as in cross-validation."""
    positive = [part.positive for part in parts if part.positive is not None]
    reached = [part.reached for part in parts if part.reached is not None]
    return Judged(
        parts[0].question,
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.answers for part in parts]),
        np.concatenate(positive) if positive else None,
        np.concatenate(reached) if reached else None,
        np.concatenate([part.sets for part in parts]),
    )


def statistics(seen: Judged) -> dict[str, Statistic]:
    """Every metric by name. Without a threshold sensitivity and specificity are nan."""
    question, labels, p = seen.question, seen.labels, seen.probabilities
    answers, right = seen.answers, seen.right
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
        covered = seen.sets[np.arange(len(labels)), labels]
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
    positive, reached = seen.positive, seen.reached
    if positive is None or reached is None:
        return lambda _rows: float(np.nan)
    score = reached.astype(np.float64)
    return lambda rows: sensitivity_specificity(positive[rows], score[rows], 0.5)[which]
