"""Measures a served imaging model on a set: as it is, under stress, out of its domain, by group.

Works on the outputs of the exported ONNX file, so the figures are the product's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.backends import Backend
from models.calibration import ood_score
from models.imaging.judged import Judged, joint_accuracy, judge, statistics, together
from models.imaging.preprocess import PreprocessSpec
from models.imaging.questions import Question
from models.imaging.stress import STRESS
from models.imaging.subgroups import subgroups_of
from models.manifest import Manifest, Metric
from models.metrics import Interval, Statistic, bootstrap_interval
from training.imaging.data import LabelledImages, preprocess_all

Floats = npt.NDArray[np.float32]
Outputs = dict[str, Floats]
Rows = npt.NDArray[np.int64]
AS_IS = "as_is"
ALL_VIEWS: tuple[str, ...] = (AS_IS, *STRESS)
_SMALLEST_GROUP = 30


def run_backend(
    backend: Backend, inputs: Floats, context: Floats | None = None, batch_size: int = 32
) -> Outputs:
    """Every output of the network for inputs [N, C, S, S]."""
    parts = []
    for start in range(0, len(inputs), batch_size):
        rows = slice(start, start + batch_size)
        tensors = {"image": inputs[rows]}
        if context is not None:
            tensors["context"] = context[rows]
        parts.append(backend.run(tensors))
    return {
        name: np.concatenate([np.asarray(part[name], dtype=np.float32) for part in parts])
        for name in parts[0]
    }


def views_of(
    backend: Backend,
    data: LabelledImages,
    spec: PreprocessSpec,
    names: Iterable[str] = ALL_VIEWS,
    *,
    context: bool = False,
) -> dict[str, Outputs]:
    """The outputs under each named view."""
    return {
        name: run_backend(
            backend,
            preprocess_all(data.images, spec, None if name == AS_IS else name),
            data.context if context else None,
        )
        for name in names
    }


@dataclass(frozen=True)
class Reading:
    """How the outputs of some rows are read: the questions of one calibration."""

    rows: slice
    questions: tuple[Question, ...]


def judged(
    readings: Sequence[Reading], number: int, outputs: Outputs, data: LabelledImages
) -> Judged:
    """The rows whose label is known for head `number`, each read with its own calibration."""
    parts = []
    for reading in readings:
        labels = data.labels[reading.rows, number]
        known = labels >= 0
        question = reading.questions[number]
        own = {question.output: outputs[question.output][reading.rows][known]}
        parts.append(judge(question, labels[known], question.probabilities(own)))
    return together(parts)


def _statistics(seen: Judged) -> dict[str, Statistic]:
    """What a manifest holds of a question: nothing that was not measured, and the sets' size."""
    sizes = seen.sets.sum(axis=1)
    found = statistics(seen) | {"set_size": lambda rows: float(np.mean(sizes[rows]))}
    if seen.question.point is None:
        del found["sensitivity"], found["specificity"]
    return found


_WITH_INTERVAL = ("auc", "accuracy", "balanced_accuracy", "quadratic_kappa", "sensitivity",
                  "specificity", "joint_accuracy")  # fmt: skip


def measured(found: Mapping[str, Statistic], groups: Rows, *, samples: int) -> dict[str, Metric]:
    """Each metric, those of interest with 95 % intervals; patients are resampled whole."""
    everyone = np.arange(len(groups))
    metrics = {}
    for name, statistic in found.items():
        bounds = Interval(np.nan, np.nan)
        if samples and name in _WITH_INTERVAL:
            bounds = bootstrap_interval(statistic, len(everyone), groups=groups, samples=samples)
        metrics[name] = _metric(statistic(everyone), bounds)
    return metrics


def _metric(value: float, bounds: Interval) -> Metric:
    low, high = (None if math.isnan(b) else round(b, 4) for b in bounds)
    return Metric(value=round(value, 4), low=low, high=high)


def patient_numbers(groups: tuple[str, ...]) -> Rows:
    """Integer per row, equal for rows of one patient."""
    return np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64)


def report(
    manifest: Manifest,
    readings: Sequence[Reading],
    views: Mapping[str, Outputs],
    data: LabelledImages,
    *,
    samples: int = 1000,
) -> dict[str, dict[str, Metric]]:
    """Manifest metrics: `dev`, `dev/<stress>`, `dev/head/<code>` and `subgroup/<group>`."""
    patients = patient_numbers(data.groups)
    found: dict[str, dict[str, Metric]] = {}
    for name, outputs in views.items():
        key = "dev" if name == AS_IS else f"dev/{name}"
        seen = judged(readings, 0, outputs, data)
        count = samples if name == AS_IS else min(samples, 300)
        found[key] = measured(_statistics(seen), patients, samples=count)
        if manifest.ood is not None and "features" in outputs:
            far = ood_score(outputs["features"], manifest.ood) > manifest.ood.threshold
            found[key]["out_of_distribution"] = Metric(value=round(float(far.mean()), 4))
    plain = views[AS_IS]
    asked = readings[0].questions
    for number, question in enumerate(asked[1:], start=1):
        known = np.flatnonzero(data.labels[:, number] >= 0)
        seen = judged(readings, number, plain, data)
        found[f"dev/head/{question.code}"] = measured(
            _statistics(seen), patients[known], samples=samples
        )
    joint = joint_accuracy(
        judged(readings, number, plain, data)
        for number, question in enumerate(asked)
        if not question.research_only
    )
    if joint is not None:
        found["dev"] |= measured({"joint_accuracy": joint}, patients, samples=samples)
    return found | subgroups(readings, plain, data, patients, samples=min(samples, 300))


def subgroups(
    readings: Sequence[Reading],
    outputs: Outputs,
    data: LabelledImages,
    patients: Rows,
    *,
    samples: int,
) -> dict[str, dict[str, Metric]]:
    """The first question by sex and age band, groups of at least 30 images."""
    members: dict[str, list[int]] = {}
    for row in range(len(data)):
        age, sex = (data.columns.get(name, ("",) * len(data))[row] for name in ("age", "sex"))
        known_sex = sex if sex in ("female", "male") else None
        for group in subgroups_of(float(age) if age else None, known_sex):
            members.setdefault(group, []).append(row)
    everyone = judged(readings, 0, outputs, data)
    found = {}
    for group, rows in sorted(members.items()):
        if len(rows) < _SMALLEST_GROUP:
            continue
        index = np.array(rows, dtype=np.int64)
        part = measured(_statistics(everyone.take(index)), patients[index], samples=samples)
        kept = {"images": Metric(value=float(len(rows)))}
        kept |= {n: part[n] for n in part if n in ("auc", "balanced_accuracy", "sensitivity",
                                                   "specificity")}  # fmt: skip
        found[f"subgroup/{group}"] = kept
    return found


def altered(images: npt.NDArray[np.uint8], seed: int = 0) -> dict[str, npt.NDArray[np.uint8]]:
    """Pictures that should get no score, made from the images [N, H, W(, 3)] themselves."""
    rng = np.random.default_rng(seed)
    height, width = images.shape[1:3]
    tall, wide = height // 4, width // 4
    mixed = np.zeros_like(images)
    for place, tile in enumerate(rng.permutation(16)):
        (y, x), (v, u) = divmod(place, 4), divmod(int(tile), 4)
        mixed[:, y * tall : (y + 1) * tall, x * wide : (x + 1) * wide] = images[
            :, v * tall : (v + 1) * tall, u * wide : (u + 1) * wide
        ]
    ramp = np.linspace(0, 255, width, dtype=np.uint8).reshape(1, 1, width, *[1] * (images.ndim - 3))
    return {
        "inverted": (255 - images).astype(np.uint8),
        "upside_down": np.ascontiguousarray(images[:, ::-1]),
        "shuffled_tiles": mixed,
        "noise": rng.integers(0, 256, images.shape, dtype=np.uint8),
        "ramp": np.broadcast_to(ramp, images.shape).copy(),
    }
