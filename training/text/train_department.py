"""Trains the department model and writes its folder of the model repository.

    fenzhen train department --out OUT

The consults of all departments are few (493), so their figures come from cross-validation and
the shipped model learns on all of them. The calibration and the `unsure` threshold come from
the same held-out folds; zh_consult_internal.dev is only measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from knowledge_base.lexicon.departments import Crosswalk, crosswalk_for, crosswalks
from models.calibration import Doubles, softmax
from models.manifest import Metric
from training.text import department_data as data
from training.text.calibrate import Calibrator, HeldOut, cross_calibrated, fit_calibrator
from training.text.department_artifact import Outcome, write
from training.text.department_config import DepartmentConfig, read_config
from training.text.department_fit import HeldOutScores, Trainer, held_out_scores
from training.text.department_report import label_matrix, labelled, measure
from training.text.linear import Linear
from training.text.readers import rows, text_of
from training.text.sparse import Floats

Metrics = dict[str, dict[str, Metric]]


@dataclass(frozen=True)
class Unsure:
    """The threshold on the top department's probability, and what it did on held-out consults."""

    threshold: float
    answered: float
    accuracy: float


def _unsure(top: Doubles, right: NDArray[np.bool_], wanted: float) -> Unsure:
    """The lowest threshold on `top` [N] at which the answered reach `wanted` accuracy."""
    for threshold in np.arange(0.05, 0.95, 0.01):
        answered = top >= threshold
        if answered.any() and right[answered].mean() >= wanted:
            return Unsure(
                round(float(threshold), 2), float(answered.mean()), float(right[answered].mean())
            )
    return Unsure(0.95, 0.0, 0.0)


def _consult_labels(trainer: Trainer) -> list[str]:
    """The file's own department label of every consult."""
    labels = [text_of(r, "department") for r in rows(trainer.data_dir, "zh_consult_all.dev")]
    return [labels[int(e.group.partition("-")[2])] for e in trainer.consults.examples]


def _internal_labels(trainer: Trainer, codes: Sequence[int]) -> tuple[Crosswalk, list[str]]:
    """The crosswalk bound to all eleven internal labels, and the label of each code."""
    walk = crosswalks()["zh_consult_internal"]
    names = {code: label for label, code in walk.to_code.items()}
    return crosswalk_for(set(walk.to_code)), [names[trainer.codes[code]] for code in codes]


def _held_out_set(
    trainer: Trainer, scores: Floats, truth: Sequence[str], walk: Crosswalk, weight: float
) -> HeldOut:
    names = sorted(walk.labels)
    right = np.array([names.index(label) for label in truth])
    return HeldOut(scores, right, label_matrix(walk, trainer.codes, names), weight)


def calibrate(
    trainer: Trainer, held: HeldOutScores, config: DepartmentConfig
) -> tuple[Calibrator, Unsure, Metrics]:
    """The calibrator that ships, the threshold, and what cross-validation measured of both."""
    truth = _consult_labels(trainer)
    walk = crosswalk_for(set(truth))
    inner_walk, inner_truth = _internal_labels(
        trainer, trainer.corpus.labels[held.internal_rows].tolist()
    )
    step = config.calibration
    sets = [
        _held_out_set(trainer, held.consults, truth, walk, 1.0),
        _held_out_set(trainer, held.internal, inner_truth, inner_walk, step.internal_weight),
    ]
    logits, temperatures = cross_calibrated(
        sets, held.folds, step.knee, step.slope, step.shift_penalty
    )
    sharp = (logits / temperatures).astype(np.float32)
    found = labelled(sharp, truth, walk, trainer.codes, 1.0)
    unsure = _unsure(
        softmax(sharp).max(axis=1), found.guess == found.truth, config.answered_accuracy
    )
    metrics = {
        "zh_consult_all.dev cross-validation": measure(found),
        "threshold unsure, cross-validation": {
            "share_answered": Metric(value=unsure.answered),
            "accuracy_answered": Metric(value=unsure.accuracy),
        },
    }
    return fit_calibrator(sets, step.knee, step.slope, step.shift_penalty), unsure, metrics


def _own_complaints(model: Linear, calibrator: Calibrator, trainer: Trainer) -> Metrics:
    """The first and the first three departments on names of complaints that were held out."""
    pairs = data.held_out_complaints()
    corpus = trainer.corpus_of([example for example, _ in pairs])
    order = np.argsort(-calibrator.logits(model.scores(corpus.rows)), axis=1)
    right = np.array(
        [
            [trainer.codes[i] in codes for i in ranked[:3]]
            for ranked, (_, codes) in zip(order, pairs, strict=True)
        ]
    )
    metrics: Metrics = {}
    for language in ("zh", "en"):
        some = corpus.sources == language
        metrics[f"own_complaints_{language}"] = {
            "n": Metric(value=int(some.sum())),
            "accuracy": Metric(value=float(right[some][:, 0].mean())),
            "top3": Metric(value=float(right[some].any(axis=1).mean())),
        }
    return metrics


def _measured(model: Linear, calibrator: Calibrator, trainer: Trainer) -> Metrics:
    """The shipped model on zh_consult_internal.dev and on our own held-out phrases."""
    metrics: Metrics = {}
    dev = trainer.corpus_of(data.consult_internal(trainer.data_dir, "dev", trainer.limit))
    logits = calibrator.logits(model.scores(dev.rows))
    for source, title in (("internal", "title and text"), ("internal_text", "text only")):
        mine = dev.sources == source
        walk, truth = _internal_labels(trainer, dev.labels[mine].tolist())
        found = labelled(logits[mine], truth, walk, trainer.codes, calibrator.temperature)
        metrics[f"zh_consult_internal.dev {title}"] = measure(found)
    metrics |= _own_complaints(model, calibrator, trainer)
    phrases = trainer.corpus_of(data.seeds(held_out=True))
    order = np.argsort(-calibrator.logits(model.scores(phrases.rows)), axis=1)
    for language in ("zh", "en"):
        some = phrases.sources == f"seed_{language}"
        right = order[some] == phrases.labels[some][:, None]
        metrics[f"own_phrases_{language}"] = {
            "n": Metric(value=int(some.sum())),
            "accuracy": Metric(value=float(right[:, 0].mean())),
            "top3": Metric(value=float(right[:, :3].any(axis=1).mean())),
        }
    return metrics


def train(
    config_path: Path, data_dir: Path, out_dir: Path, *, smoke: bool = False
) -> dict[str, dict[str, float]]:
    """Train, measure and write the artifact into `out_dir`; returns the metrics.

    `smoke`: a few hundred rows of every set and a small table, to show that all parts fit.
    Raises OSError where the data or the configuration is missing.
    """
    config = read_config(config_path)
    if smoke:
        config = config.model_copy(update={"buckets": 1 << 12, "folds": 2})
    with Progress() as progress:
        stage = progress.add_task("reading", total=4)
        trainer = Trainer(config, data_dir, smoke)
        progress.update(stage, advance=1, description="base")
        trainer.learn_base()
        progress.update(stage, advance=1, description="cross-validation")
        held = held_out_scores(trainer, progress)
        calibrator, unsure, metrics = calibrate(trainer, held, config)
        progress.update(stage, advance=1, description="final model")
        everything = np.arange(len(trainer.consults.examples))
        model = trainer.adapt(everything).merged(trainer.base)
        progress.update(stage, advance=1, description="done")
    metrics |= _measured(model, calibrator, trainer)
    examples = [*trainer.known, *trainer.consults.examples]
    outcome = Outcome(config, model, trainer.idf, calibrator, unsure.threshold, metrics, examples)
    write(out_dir, outcome, data_dir)
    return {name: {k: m.value for k, m in group.items()} for name, group in metrics.items()}
