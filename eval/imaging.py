"""The imaging benchmark: every image gets a forced answer, as it is and under acquisition stress.

Decoding, preprocessing and calibration are the served ones. Whether the model would have answered
at all (`answered`) is measured beside, with the patient assumed to be of the model's population.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from eval.classes import class_scores, confusion
from eval.estimates import SAMPLES, Estimate, Rows, bootstrapped
from eval.progress import track
from eval.readers import ImageSet
from eval.result import BenchmarkError, Details, Miss, Scored
from eval.training_sets import learned_from
from models.backends import Backend
from models.backends.onnx import OnnxBackend
from models.calibration import ood_score, prediction_set
from models.imaging.decode import DecodedImage
from models.imaging.stress import STRESS, apply_stress
from models.manifest import Conformal, Manifest
from models.metrics import (
    Statistic,
    auc,
    balanced_accuracy,
    expected_calibration_error,
    macro_auc,
    sensitivity_specificity,
)
from models.repository import ModelRepository
from models.tasks.imaging import ImagingRequest, ImagingTask

AS_IS = "as_is"
_BATCH = 16
_STRESS_SAMPLES = 200
_GROUPS = ("patient", "lesion_id")
_MOST_MISSES = 25

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """Calibrated probabilities [N, C] and whether each image would have been answered [N]."""

    probabilities: Probabilities
    answered: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Truth:
    """labels: index per image [N]. groups: number of the patient per image, None if not given."""

    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64] | None
    column: str


def score(
    images: ImageSet, file: str, task_name: str, repository: ModelRepository, *, stress: bool
) -> Scored:
    """Score every image, with `stress` under every transform of models/imaging/stress.py too."""
    entry = repository.get(task_name)
    manifest = entry.manifest
    if manifest.task != "imaging":
        raise BenchmarkError(f"{task_name} is not an imaging model")
    truth = truth_of(images, manifest)
    task, backend = ImagingTask(manifest), OnnxBackend(entry.network, threads=2)
    views = {
        name: view(images, task, backend, manifest, name)
        for name in (AS_IS, *(STRESS if stress else ()))
    }
    plain = views.pop(AS_IS)
    return Scored(
        n=len(images.names),
        estimates=estimates(truth, plain, manifest),
        models={manifest.name: manifest.version},
        details=_details(images, truth, plain, manifest, file),
        stress={
            name: estimates(truth, seen, manifest, samples=_STRESS_SAMPLES)
            for name, seen in views.items()
        },
    )


def truth_of(images: ImageSet, manifest: Manifest) -> Truth:
    """The column that holds the model's labels, as codes or as numbers from 0."""
    codes = [label.code for label in manifest.labels]
    numbers = [str(i) for i in range(len(codes))]
    for known in (codes, numbers):
        for column, values in images.columns.items():
            if set(values) <= set(known):
                labels = np.array([known.index(v) for v in values], dtype=np.int64)
                group = next((g for g in _GROUPS if g in images.columns), None)
                groups = None
                if group is not None:
                    _, inverse = np.unique(images.columns[group], return_inverse=True)
                    groups = inverse.astype(np.int64)
                return Truth(labels, groups, column)
    raise BenchmarkError(
        f"no label column holds only {', '.join(codes)}: the labels that {manifest.name} knows"
    )


def view(
    images: ImageSet, task: ImagingTask, backend: Backend, manifest: Manifest, name: str
) -> View:
    """Every image under the named transform (`as_is` for none); seeds are the row numbers."""
    probabilities: list[Probabilities] = []
    answered: list[bool] = []
    age = _age_inside(manifest)
    pictures = track(images.images(), len(images.names), f"{manifest.name} {name}")
    for batch in _batches(_seen(pictures, name)):
        requests = [ImagingRequest(image, age) for image in batch]
        stacked = np.concatenate([task.prepare(request)["image"] for request in requests])
        outputs = backend.run({"image": stacked})
        for row, request in enumerate(requests):
            own = {key: tensor[row : row + 1] for key, tensor in outputs.items()}
            probabilities.append(task.probabilities(own))
            inside = manifest.ood is None or bool(
                ood_score(own["features"], manifest.ood)[0] <= manifest.ood.threshold
            )
            answered.append(inside and not task.refusals(request))
    return View(np.stack(probabilities), np.array(answered, dtype=bool))


def _seen(pictures: Iterator[DecodedImage], name: str) -> Iterator[DecodedImage]:
    for seed, picture in enumerate(pictures):
        if name == AS_IS:
            yield picture
            continue
        grey = np.rint(picture.pixels * 255.0).astype(np.uint8)
        changed = apply_stress(name, grey, seed).astype(np.float32) / np.float32(255.0)
        yield replace(picture, pixels=changed)


def _batches(pictures: Iterator[DecodedImage]) -> Iterator[list[DecodedImage]]:
    batch: list[DecodedImage] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _age_inside(manifest: Manifest) -> float:
    """An age that the model's population holds."""
    low, high = manifest.population.min_age_years, manifest.population.max_age_years
    return low if low is not None else high if high is not None else 40.0


def operating_point(manifest: Manifest) -> tuple[int, float] | None:
    """Index of the label that has a shipped threshold, and the threshold; None without one."""
    for index, label in enumerate(manifest.labels):
        threshold = manifest.thresholds.get(label.code)
        if threshold is not None:
            return index, threshold
    return None


def forced(probabilities: Probabilities, manifest: Manifest) -> npt.NDArray[np.int64]:
    """One label per image [N]: of two classes by the shipped threshold, else the most probable."""
    point = operating_point(manifest)
    if point is not None and len(manifest.labels) == 2:
        index, threshold = point
        positive = probabilities[:, index] >= threshold
        answer: npt.NDArray[np.int64] = np.where(positive, index, 1 - index).astype(np.int64)
        return answer
    best: npt.NDArray[np.int64] = probabilities.argmax(axis=1).astype(np.int64)
    return best


def in_set(probabilities: Probabilities, conformal: Conformal) -> npt.NDArray[np.bool_]:
    """Which labels [N, C] are in each image's prediction set."""
    inside = np.zeros(probabilities.shape, dtype=bool)
    for row, p in enumerate(probabilities):
        inside[row, prediction_set(p, conformal)] = True
    return inside


def estimates(
    truth: Truth, seen: View, manifest: Manifest, *, samples: int = SAMPLES
) -> dict[str, Estimate]:
    """Every metric with a bootstrap interval over patients where the set names them."""
    labels, p = truth.labels, seen.probabilities
    answer, point = forced(p, manifest), operating_point(manifest)
    best, claimed = p.argmax(axis=1), p.max(axis=1)

    def area(rows: Rows) -> float:
        if p.shape[1] == 2:
            index = 1 if point is None else point[0]
            return auc(labels[rows] == index, p[rows, index])
        return macro_auc(labels[rows], p[rows])

    def rate(which: int) -> Statistic:
        def statistic(rows: Rows) -> float:
            if point is None:
                return float(np.nan)
            index, threshold = point
            rates = sensitivity_specificity(labels[rows] == index, p[rows, index], threshold)
            return rates[which]

        return statistic

    statistics: dict[str, Statistic] = {
        "auc": area,
        "accuracy": lambda rows: float(np.mean(answer[rows] == labels[rows])),
        "balanced_accuracy": lambda rows: balanced_accuracy(labels[rows], answer[rows]),
        "sensitivity": rate(0),
        "specificity": rate(1),
        "ece": lambda rows: expected_calibration_error(best[rows] == labels[rows], claimed[rows]),
    }
    if manifest.conformal is not None:
        covered = in_set(p, manifest.conformal)[np.arange(len(labels)), labels]
        statistics["set_coverage"] = lambda rows: float(np.mean(covered[rows]))
    statistics["answered"] = lambda rows: float(np.mean(seen.answered[rows]))
    return {
        name: bootstrapped(statistic, len(labels), groups=truth.groups, samples=samples)
        for name, statistic in statistics.items()
    }


def _details(images: ImageSet, truth: Truth, seen: View, manifest: Manifest, file: str) -> Details:
    codes = [label.code for label in manifest.labels]
    answer = forced(seen.probabilities, manifest)
    true_codes, given = [codes[i] for i in truth.labels], [codes[i] for i in answer]
    counts = Counter(true_codes)
    patients = "" if truth.groups is None else f", {len(np.unique(truth.groups))} patients"
    point = operating_point(manifest)
    return Details(
        data=(
            f"{len(images.names)} images{patients}; column `{truth.column}`: "
            + ", ".join(f"{counts[c]} {c}" for c in codes)
            + ".",
        ),
        method=(
            "Every image gets a forced answer: "
            + (
                f"{codes[point[0]]} from probability {point[1]:.4f}, the shipped threshold."
                if point is not None and len(codes) == 2
                else "the most probable label."
            ),
            "Decoding, preprocessing and calibration are the served ones. ece is debiased (15 "
            "bins of equal mass) and speaks of the most probable label.",
            "answered: share that neither the quality check nor the out-of-distribution score "
            "refuses, with the patient's age taken as inside the model's population.",
            *_undecided(seen.probabilities, manifest),
            "Intervals: bootstrap over "
            + ("images." if truth.groups is None else "patients, not images."),
        ),
        warnings=learned_from(manifest, file),
        confusion=confusion(true_codes, given, codes, codes),
        classes=class_scores(true_codes, given, codes),
        misses=_misses(images.names, truth.labels, answer, seen.probabilities, codes),
        misses_title="Worst errors: wrong answers, least probable truth first",
    )


def _undecided(probabilities: Probabilities, manifest: Manifest) -> tuple[str, ...]:
    """How often the served model would leave the answer to the physician."""
    if manifest.conformal is None:
        return ()
    sizes = in_set(probabilities, manifest.conformal).sum(axis=1)
    return (
        f"Prediction sets: {int((sizes == 0).sum())} empty, {int((sizes > 1).sum())} with more "
        "than one label. The served model calls both undecided; here they get their forced answer.",
    )


def _misses(
    names: Sequence[str],
    labels: npt.NDArray[np.int64],
    answer: npt.NDArray[np.int64],
    probabilities: Probabilities,
    codes: Sequence[str],
) -> tuple[Miss, ...]:
    wrong = np.flatnonzero(answer != labels)
    truth_probability = probabilities[wrong, labels[wrong]]
    worst = wrong[np.argsort(truth_probability, kind="stable")][:_MOST_MISSES]
    return tuple(
        Miss(
            names[i],
            codes[labels[i]],
            codes[answer[i]],
            f"probability of the truth {probabilities[i, labels[i]]:.3f}",
        )
        for i in worst
    )
