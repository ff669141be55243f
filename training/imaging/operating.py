"""What held-out images decide about a network's answers: scaling, threshold, prediction sets.

One `Operating` is made of everything held out and shipped. With folds there is one more per fold,
made of the other folds, so that what is reported of a fold was decided without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.calibration import softmax
from models.imaging.questions import Point, Question, question_of
from models.manifest import Calibration, Conformal, Head
from training.imaging import calibrate, export
from training.imaging.config import HeadConfig, ImagingConfig
from training.imaging.data import LabelledImages
from training.imaging.evaluate import Outputs

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Operating:
    """Of each head: the bias that its logits gain, and how they are read then."""

    biases: tuple[Doubles, ...]
    heads: tuple[Head, ...]

    @property
    def bias(self) -> Floats:
        """Of all heads side by side, as the last layer holds them."""
        return np.concatenate(self.biases).astype(np.float32)

    @property
    def questions(self) -> tuple[Question, ...]:
        """The reading, without measured figures."""
        return tuple(question_of(head, {}) for head in self.heads)

    def shifted(self, outputs: Outputs) -> Outputs:
        """Outputs of a network without the biases, as one with them would give."""
        moved = {
            head.output: (outputs[head.output] + bias).astype(np.float32)
            for head, bias in zip(self.heads, self.biases, strict=True)
        }
        return outputs | moved


def decide(
    config: ImagingConfig, seen: Mapping[str, Outputs], unseen: LabelledImages, shares: Labels
) -> Operating:
    """From the outputs per view for images that no judge learned from.

    shares: rows of labels [N, heads] whose counts `answer_weights: prior` goes by.
    """
    biases, heads = [], []
    for number, head in enumerate(config.heads):
        labels = unseen.labels[:, number]
        known = labels >= 0
        logits = {
            name: outputs[export.logits_name(number, head)][known] for name, outputs in seen.items()
        }
        temperature, bias = calibrate.fit_scaling(
            np.concatenate(list(logits.values())), np.tile(labels[known], len(logits))
        )
        temperature = round(temperature, 5)
        by_view = {name: softmax(z + bias, temperature) for name, z in logits.items()}
        column = shares[:, number]
        biases.append(bias)
        heads.append(
            Head(
                code=head.code,
                zh=head.zh,
                en=head.en,
                output=export.logits_name(number, head),
                column=head.column,
                labels=list(head.labels),
                groups=list(head.groups),
                calibration=Calibration(temperature=temperature),
                thresholds=_threshold(config, head, by_view, labels[known]),
                conformal=_sets(config, by_view, labels[known]),
                answer_weights=_weights(head, column[column >= 0]),
                research_only=head.research_only,
            )
        )
    return Operating(tuple(biases), tuple(heads))


def _threshold(
    config: ImagingConfig, head: HeadConfig, by_view: Mapping[str, Doubles], labels: Labels
) -> dict[str, float]:
    if head.threshold_for is None:
        return {}
    point = Point(head.threshold_for, {"zh": "", "en": ""}, head.positive, 0.0)
    options = config.operating
    chosen = calibrate.choose_threshold(
        {name: point.score(p) for name, p in by_view.items()},
        np.isin(labels, head.positive),
        min_sensitivity=options.min_sensitivity,
        min_specificity=options.min_specificity,
        lean=options.lean,
    )
    # Down, never up: the score that it was chosen by must still reach it.
    return {head.threshold_for: float(np.floor(chosen * 1e6) / 1e6)}


def _sets(config: ImagingConfig, by_view: Mapping[str, Doubles], labels: Labels) -> Conformal:
    quantile = calibrate.conformal_quantile(
        list(by_view.values()), labels, config.operating.coverage
    )
    return Conformal(coverage=config.operating.coverage, quantile=round(quantile, 6))


def _weights(head: HeadConfig, column: Labels) -> list[float]:
    """One over each label's share, times the number of labels; 0 for a label that never came."""
    if head.answer_weights == "none":
        return []
    counts = np.bincount(column, minlength=len(head.labels))
    return [round(float(len(column) / (len(counts) * n)), 4) if n else 0.0 for n in counts]


def parts_of(rows: Sequence[Labels]) -> list[slice]:
    """Where each fold lies in what was concatenated fold by fold."""
    ends = np.cumsum([len(part) for part in rows])
    return [slice(int(end) - len(part), int(end)) for part, end in zip(rows, ends, strict=True)]
