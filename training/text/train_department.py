"""Trains the department model and writes its folder of the model repository.

    fenzhen train department --out OUT

The consults of all departments are few (493), so their figures come from cross-validation and
the shipped model learns on all of them. The calibration and the `unsure` threshold come from
the same held-out folds; zh_consult_internal.dev is only measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from knowledge_base.lexicon.departments import Crosswalk, crosswalk_for, crosswalks
from knowledge_base.lexicon.findings import lexicon
from models.calibration import Doubles, softmax
from models.manifest import Metric
from models.triage.case import CaseReader
from models.triage.request import TriageRequest
from models.triage.routing import route
from training.text import department_data as data
from training.text.calibrate import (
    Calibrator,
    HeldOut,
    cross_calibrated,
    fit_calibrator,
    fit_temperature,
)
from training.text.department_artifact import Outcome, write
from training.text.department_config import DepartmentConfig, read_config
from training.text.department_fit import (
    Corpus,
    EncoderHalf,
    HeldOutScores,
    Trainer,
    held_out_scores,
)
from training.text.department_report import label_matrix, labelled, measure
from training.text.readers import rows, text_of
from training.text.sparse import Floats
from training.text.two_halves import TwoHalves

_NOBODY = 1e-9
"""The probability of a department to which nobody like this is sent."""
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


@dataclass(frozen=True)
class Calibrated:
    """The linear half's calibrator, the temperature of both halves together and the threshold
    that ship, and what cross-validation measured of them."""

    calibrator: Calibrator
    temperature: float
    unsure: Unsure
    metrics: Metrics


def calibrate(
    trainer: Trainer, held: HeldOutScores, encoded: Floats, config: DepartmentConfig
) -> Calibrated:
    """From held-out scores of the linear half and, `encoded` [N, C], of the encoder's."""
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
    both = (logits / temperatures + config.encoder.share * encoded).astype(np.float32)
    together = HeldOut(both, sets[0].truth, sets[0].matrix, 1.0)
    sharp = np.zeros_like(both)
    for fold in np.unique(held.folds):
        out = held.folds == fold
        sharp[out] = both[out] / fit_temperature(together.part(np.flatnonzero(~out)))
    routed = _routed(sharp, trainer)
    variants: dict[str, Floats] = {
        "zh_consult_all.dev cross-validation": routed,
        "zh_consult_all.dev cross-validation, not routed by age and sex": sharp,
        "zh_consult_all.dev cross-validation, linear half alone": (logits / temperatures).astype(
            np.float32
        ),
    }
    measured = {name: labelled(s, truth, walk, trainer.codes, 1.0) for name, s in variants.items()}
    found = next(iter(measured.values()))
    unsure = _unsure(
        softmax(routed).max(axis=1), found.guess == found.truth, config.answered_accuracy
    )
    metrics = {name: measure(each) for name, each in measured.items()} | {
        "threshold unsure, cross-validation": {
            "share_answered": Metric(value=unsure.answered),
            "accuracy_answered": Metric(value=unsure.accuracy),
        },
    }
    calibrator = fit_calibrator(sets, step.knee, step.slope, step.shift_penalty)
    return Calibrated(calibrator, fit_temperature(together), unsure, metrics)


def _routed(logits: Floats, trainer: Trainer) -> Floats:
    """Logits [N, C] of the consults after routing by what each says of age, sex and pregnancy:
    triage does the same."""
    reader, routed = CaseReader(lexicon()), np.full_like(logits, np.log(_NOBODY))
    for row, example in enumerate(trainer.consults.examples):
        probabilities = dict(zip(trainer.codes, softmax(logits[row : row + 1])[0], strict=True))
        moved = route(probabilities, reader.read(TriageRequest(text=example.text)).facts)
        for code, probability in moved.items():
            routed[row, trainer.codes.index(code)] = np.log(max(probability, _NOBODY))
    return routed


def _logits(net: TwoHalves, half: EncoderHalf, corpus: Corpus) -> Floats:
    """Logits [N, C] of the network that ships, one example at a time as when it serves."""
    with torch.inference_mode():
        found = []
        for example in corpus.examples:
            tensors = half.readers.readings.tensors(example.text, example.concepts)
            found.append(net(*(torch.from_numpy(value) for value in tensors.values())).numpy())
    return np.concatenate(found)


def _own_complaints(logits: Callable[[Corpus], Floats], trainer: Trainer) -> Metrics:
    """The first and the first three departments on names of complaints that were held out."""
    pairs = data.held_out_complaints()
    corpus = trainer.corpus_of([example for example, _ in pairs])
    order = np.argsort(-logits(corpus), axis=1)
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


def _measured(logits: Callable[[Corpus], Floats], temperature: float, trainer: Trainer) -> Metrics:
    """The shipped network on zh_consult_internal.dev and on our own held-out phrases."""
    metrics: Metrics = {}
    dev = trainer.corpus_of(data.consult_internal(trainer.data_dir, "dev", trainer.limit))
    scores = logits(dev)
    for source, title in (("internal", "title and text"), ("internal_text", "text only")):
        mine = dev.sources == source
        walk, truth = _internal_labels(trainer, dev.labels[mine].tolist())
        found = labelled(scores[mine], truth, walk, trainer.codes, temperature)
        metrics[f"zh_consult_internal.dev {title}"] = measure(found)
    metrics |= _own_complaints(logits, trainer)
    phrases = trainer.corpus_of(data.seeds(held_out=True))
    order = np.argsort(-logits(phrases), axis=1)
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
        config = _smaller(config)
    torch.set_num_threads(config.threads)
    with Progress() as progress:
        stage = progress.add_task("reading", total=5)
        trainer = Trainer(config, data_dir, smoke)
        progress.update(stage, advance=1, description="encoder's half")
        half = EncoderHalf(trainer, progress)
        progress.update(stage, advance=1, description="base")
        trainer.learn_base()
        progress.update(stage, advance=1, description="cross-validation")
        held = held_out_scores(trainer, progress)
        found = calibrate(trainer, held, half.held_out(held.folds), config)
        progress.update(stage, advance=1, description="final model")
        everything = np.arange(len(trainer.consults.examples))
        general = trainer.adapt(everything).merged(trainer.base)
        reader = half.adapt(everything)
        progress.update(stage, advance=1, description="done")
    net = TwoHalves(general, trainer.idf, found.calibrator, reader, config.encoder.share).eval()
    logits = partial(_logits, net, half)
    metrics = found.metrics | _measured(logits, found.temperature, trainer)
    examples = [*trainer.known, *trainer.consults.examples]
    outcome = Outcome(config, net, found.temperature, found.unsure.threshold, metrics, examples)
    write(out_dir, outcome, data_dir)
    return {name: {k: m.value for k, m in group.items()} for name, group in metrics.items()}


def _smaller(config: DepartmentConfig) -> DepartmentConfig:
    """A small table, two folds, one epoch."""
    step = config.encoder
    short = {"epochs": 1}
    return config.model_copy(
        update={
            "buckets": 1 << 12,
            "folds": 2,
            "encoder": step.model_copy(
                update={
                    "base": step.base.model_copy(
                        update={"fit": step.base.fit.model_copy(update=short)}
                    ),
                    "adapted": step.adapted.model_copy(
                        update={"fit": step.adapted.fit.model_copy(update=short)}
                    ),
                }
            ),
        }
    )
