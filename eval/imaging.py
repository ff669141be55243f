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
from eval.columns import GROUPS, Labels, truths
from eval.estimates import SAMPLES, Estimate, bootstrapped
from eval.progress import track
from eval.readers import ImageSet
from eval.result import BenchmarkError, Details, Miss, Scored
from eval.training_sets import learned_from
from models.backends.onnx import OnnxBackend
from models.imaging.decode import DecodedImage, colour_spread, luminance
from models.imaging.judged import joint_accuracy, judge, statistics
from models.imaging.questions import Question
from models.imaging.stress import STRESS, apply_stress
from models.manifest import Manifest
from models.repository import ModelRepository
from models.tasks.image_kind import ImageKindTask, best_gate
from models.tasks.imaging import ImagingRequest, ImagingTask

AS_IS = "as_is"
_BATCH = 16
_STRESS_SAMPLES = 200
_MOST_MISSES = 25

Probabilities = npt.NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """Calibrated probabilities [N, C] per question, and whether each image is answered [N]."""

    probabilities: tuple[Probabilities, ...]
    answered: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Truth:
    """labels: index per image [N], by the number of each question that the set has a column for,
    in their order. columns: those columns. groups: number of the patient per image, None if not
    given.
    """

    labels: dict[int, Labels]
    columns: dict[int, str]
    groups: npt.NDArray[np.int64] | None

    @property
    def first(self) -> int:
        """The first question that the set can judge."""
        return next(iter(self.labels))


@dataclass(frozen=True)
class Reader:
    """A task with its network, and the gate where the repository has one; the manifests of both."""

    task: ImagingTask
    backend: OnnxBackend
    gate: ImageKindTask | None
    gate_backend: OnnxBackend | None
    manifests: tuple[Manifest, ...]

    def kinds(self, image: DecodedImage) -> npt.NDArray[np.float64] | None:
        """What the gate says of the picture."""
        if self.gate is None or self.gate_backend is None:
            return None
        return self.gate.finish(image, self.gate_backend.run(self.gate.prepare(image)))


def reader_of(repository: ModelRepository, task_name: str) -> Reader:
    """The named imaging task as it is served. Raises BenchmarkError for a model of another kind."""
    entry = repository.get(task_name)
    if entry.manifest.task != "imaging":
        raise BenchmarkError(f"{task_name} is not an imaging model")
    gate = gate_backend = None
    kinds = best_gate(e.manifest for e in repository.entries())
    if kinds is not None:
        gate = ImageKindTask(kinds)
        gate_backend = OnnxBackend(repository.get(kinds.name).network, threads=2)
    task = ImagingTask(entry.manifest, gate)
    backend = OnnxBackend(entry.network, threads=2)
    manifests = (entry.manifest,) if kinds is None else (entry.manifest, kinds)
    return Reader(task, backend, gate, gate_backend, manifests)


def score(
    images: ImageSet, file: str, task_name: str, repository: ModelRepository, *, stress: bool
) -> Scored:
    """Score every image, with `stress` under every transform of models/imaging/stress.py too."""
    reader = reader_of(repository, task_name)
    manifest, asked = reader.task.manifest, reader.task.questions
    truth = truth_of(images, asked)
    views = {name: view(images, reader, name) for name in (AS_IS, *(STRESS if stress else ()))}
    plain = views.pop(AS_IS)
    return Scored(
        n=len(images.names),
        estimates=estimates(truth, plain, asked),
        models={manifest.name: manifest.version},
        details=_details(images, truth, plain, manifest, asked, file),
        stress={
            name: estimates(truth, seen, asked, samples=_STRESS_SAMPLES)
            for name, seen in views.items()
        },
    )


def truth_of(images: ImageSet, asked: Sequence[Question]) -> Truth:
    """What the set says of each question, and of whom the images are. Raises BenchmarkError."""
    found = truths(images.columns, asked)
    group = next((g for g in GROUPS if g in images.columns), None)
    groups = None
    if group is not None:
        _, inverse = np.unique(images.columns[group], return_inverse=True)
        groups = inverse.astype(np.int64)
    return Truth(
        {number: labels for number, (_, labels) in found.items()},
        {number: column for number, (column, _) in found.items()},
        groups,
    )


def view(images: ImageSet, reader: Reader, name: str) -> View:
    """Every image under the named transform (`as_is` for none); seeds are the row numbers."""
    task, asked = reader.task, reader.task.questions
    probabilities: list[list[Probabilities]] = [[] for _ in asked]
    answered: list[bool] = []
    pictures = track(images.images(), len(images.names), f"{task.model} {name}")
    start = 0
    for batch in _batches(_seen(pictures, name)):
        requests = [_request(image, images, start + row, reader) for row, image in enumerate(batch)]
        start += len(batch)
        prepared = [task.prepare(request) for request in requests]
        stacked = {key: np.concatenate([p[key] for p in prepared]) for key in prepared[0]}
        outputs = reader.backend.run(stacked)
        for number, question in enumerate(asked):
            probabilities[number].append(question.probabilities(outputs))
        for row, request in enumerate(requests):
            own = {key: tensor[row : row + 1] for key, tensor in outputs.items()}
            foreign = task.out_of_distribution(request, own)
            inside = foreign is None or foreign <= 1.0
            answered.append(inside and not task.refusals(request))
    return View(
        tuple(np.concatenate(parts) for parts in probabilities), np.array(answered, dtype=bool)
    )


def _request(image: DecodedImage, images: ImageSet, row: int, reader: Reader) -> ImagingRequest:
    """Age, sex and site as the set states them; an age inside the population where it must."""
    age, sex, site = (
        images.columns[name][row] if name in images.columns else ""
        for name in ("age", "sex", "localization")
    )
    population = reader.task.manifest.population
    low, high = population.min_age_years, population.max_age_years
    bounded = low if low is not None else high
    return ImagingRequest(
        image,
        age_years=bounded if bounded is not None else _number(age),
        sex=sex or None,
        site=site or None,
        kinds=reader.kinds(image),
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _seen(pictures: Iterator[DecodedImage], name: str) -> Iterator[DecodedImage]:
    for seed, picture in enumerate(pictures):
        if name == AS_IS:
            yield picture
            continue
        if picture.rgb is None:
            grey = np.rint(picture.pixels * 255.0).astype(np.uint8)
            changed = apply_stress(name, grey, seed).astype(np.float32) / np.float32(255.0)
            yield replace(picture, pixels=changed)
        else:
            rgb = apply_stress(name, picture.rgb, seed)
            yield replace(picture, pixels=luminance(rgb), rgb=rgb, colour=colour_spread(rgb))


def _batches(pictures: Iterator[DecodedImage]) -> Iterator[list[DecodedImage]]:
    batch: list[DecodedImage] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def estimates(
    truth: Truth, seen: View, asked: Sequence[Question], *, samples: int = SAMPLES
) -> dict[str, Estimate]:
    """Every metric with a bootstrap interval over patients where the set names them."""
    judged = [judge(asked[i], truth.labels[i], seen.probabilities[i]) for i in truth.labels]
    found = statistics(judged[0])
    joint = joint_accuracy(judged)
    if joint is not None:
        found["joint_accuracy"] = joint
    found["answered"] = lambda rows: float(np.mean(seen.answered[rows]))
    return {
        name: bootstrapped(
            statistic, len(truth.labels[truth.first]), groups=truth.groups, samples=samples
        )
        for name, statistic in found.items()
    }


def _details(
    images: ImageSet,
    truth: Truth,
    seen: View,
    manifest: Manifest,
    asked: Sequence[Question],
    file: str,
) -> Details:
    first = truth.first
    question, labels, p = asked[first], truth.labels[first], seen.probabilities[first]
    codes, answer = list(question.codes), question.answers(p)
    true_codes, given = [codes[i] for i in labels], [codes[i] for i in answer]
    counts = Counter(true_codes)
    patients = "" if truth.groups is None else f", {len(np.unique(truth.groups))} patients"
    return Details(
        data=(
            f"{len(images.names)} images{patients}; column `{truth.columns[first]}`: "
            + ", ".join(f"{counts[c]} {c}" for c in codes)
            + ".",
        ),
        method=(
            _forced(question),
            "Decoding, preprocessing and calibration are the served ones. ece is debiased (15 "
            "bins of equal mass) and speaks of the most probable label.",
            "answered: share that neither the quality check, the gate nor the distance refuses, "
            "with the patient's age taken as inside the model's population.",
            *_undecided(question, p),
            "Intervals: bootstrap over "
            + ("images." if truth.groups is None else "patients, not images."),
        ),
        warnings=learned_from(manifest, file),
        confusion=confusion(true_codes, given, codes, codes),
        classes=class_scores(true_codes, given, codes),
        misses=_misses(images.names, labels, answer, p, codes),
        misses_title="Worst errors: wrong answers, least probable truth first",
    )


def _forced(question: Question) -> str:
    point = question.point
    shipped = "" if point is None else f"{point.code} from probability {point.threshold:.4f}"
    if point is not None and len(question.labels) == 2:
        return f"Every image gets a forced answer: {shipped}, the shipped threshold."
    how = "the most probable label"
    if question.weights:
        how = "the label with the largest probability over its share in the training set"
    rates = f" Sensitivity and specificity: {shipped}, the shipped threshold." if shipped else ""
    return f"Every image gets a forced answer: {how}.{rates}"


def _undecided(question: Question, probabilities: Probabilities) -> tuple[str, ...]:
    """How often the served model would leave the answer to the physician."""
    if question.conformal is None:
        return ()
    sizes = question.sets(probabilities).sum(axis=1)
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
