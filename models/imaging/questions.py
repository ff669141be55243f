"""What an imaging network is asked, and how its numbers are read: one reading for serving,
evaluation and training.

The first question is the manifest's own; further heads follow. Pure arithmetic on logits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knowledge_base.language import Bilingual
from models.backends import Tensors
from models.calibration import softmax
from models.manifest import Conformal, Head, Label, LabelGroup, Manifest, Metric

Doubles = NDArray[np.float64]
LOGITS = "logits"


@dataclass(frozen=True)
class Point:
    """A shipped threshold: positive when the probabilities of `labels` sum to at least it."""

    code: str
    name: Bilingual
    labels: tuple[int, ...]
    threshold: float

    def score(self, probabilities: Doubles) -> Doubles:
        """The probability [N] that is compared, from probabilities [N, C]."""
        total: Doubles = probabilities[:, list(self.labels)].sum(axis=1)
        return total

    def positive(self, probabilities: Doubles) -> NDArray[np.bool_]:
        """Whether the threshold is reached [N]."""
        reached: NDArray[np.bool_] = self.score(probabilities) >= self.threshold
        return reached


@dataclass(frozen=True)
class Question:
    """One head. `weights`: what each probability is multiplied by before the largest answers."""

    code: str
    name: Bilingual
    output: str
    column: str
    labels: tuple[Label, ...]
    temperature: float
    conformal: Conformal | None
    point: Point | None
    weights: tuple[float, ...]
    research_only: bool
    measured: dict[str, Metric]

    @property
    def codes(self) -> tuple[str, ...]:
        """Label codes in the order of the logits."""
        return tuple(label.code for label in self.labels)

    def probabilities(self, outputs: Tensors) -> Doubles:
        """Calibrated probabilities [N, C]."""
        return softmax(outputs[self.output], self.temperature)

    def answers(self, probabilities: Doubles) -> NDArray[np.int64]:
        """One label per row [N]: of two by the threshold, else the largest weighted probability."""
        if self.point is not None and len(self.labels) == 2:
            index = self.point.labels[0]
            reached = self.point.positive(probabilities)
            return np.where(reached, index, 1 - index).astype(np.int64)
        weighted = probabilities * np.asarray(self.weights or [1.0] * len(self.labels))
        best: NDArray[np.int64] = weighted.argmax(axis=1).astype(np.int64)
        return best

    def sets(self, probabilities: Doubles) -> NDArray[np.bool_]:
        """Which labels [N, C] are in each row's prediction set; all where none was calibrated."""
        if self.conformal is None:
            return np.ones(probabilities.shape, dtype=bool)
        inside: NDArray[np.bool_] = 1.0 - probabilities <= self.conformal.quantile
        return inside


def questions(manifest: Manifest) -> tuple[Question, ...]:
    """The first question and the further heads, in order."""
    own = Head(
        code=manifest.name,
        zh=manifest.title["zh"],
        en=manifest.title["en"],
        output=LOGITS,
        column=manifest.column,
        labels=manifest.labels,
        groups=manifest.groups,
        calibration=manifest.calibration,
        thresholds=manifest.thresholds,
        conformal=manifest.conformal,
        answer_weights=manifest.answer_weights,
    )
    further = (
        question_of(head, manifest.metrics.get(f"dev/head/{head.code}", {}))
        for head in manifest.heads
    )
    return (question_of(own, manifest.metrics.get("dev", {})), *further)


def question_of(head: Head, measured: dict[str, Metric]) -> Question:
    """How the outputs of one head are read."""
    return Question(
        code=head.code,
        name={"zh": head.zh, "en": head.en},
        output=head.output,
        column=head.column,
        labels=tuple(head.labels),
        temperature=head.calibration.temperature,
        conformal=head.conformal,
        point=_point(head.labels, head.groups, head.thresholds),
        weights=tuple(head.answer_weights),
        research_only=head.research_only,
        measured=measured,
    )


def _point(
    labels: list[Label], groups: list[LabelGroup], thresholds: dict[str, float]
) -> Point | None:
    numbers = {label.code: i for i, label in enumerate(labels)}
    for group in groups:
        if group.code in thresholds:
            members = tuple(numbers[code] for code in group.labels)
            return Point(group.code, {"zh": group.zh, "en": group.en}, members,
                         thresholds[group.code])  # fmt: skip
    for label in labels:
        if label.code in thresholds:
            members = (numbers[label.code],)
            return Point(label.code, {"zh": label.zh, "en": label.en}, members,
                         thresholds[label.code])  # fmt: skip
    return None
