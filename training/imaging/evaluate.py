"""Measures a served imaging model on a set: as it is, under stress, out of its domain, and whether
its saliency means anything. Works on the exported ONNX file, so the figures are the product's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.backends import Backend
from models.calibration import mahalanobis, softmax
from models.imaging.preprocess import PreprocessSpec
from models.imaging.stress import STRESS
from models.manifest import Manifest, Metric
from models.metrics import (
    Interval,
    Statistic,
    auc,
    bootstrap_interval,
    expected_calibration_error,
    sensitivity_specificity,
)
from training.imaging.calibrate import View
from training.imaging.data import LabelledImages, preprocess_all

Floats = npt.NDArray[np.float32]
AS_IS = "as_is"
ALL_VIEWS: tuple[str, ...] = (AS_IS, *STRESS)


def run_backend(backend: Backend, inputs: Floats, batch_size: int = 32) -> dict[str, Floats]:
    """Every output of the network for inputs [N, 1, S, S]."""
    parts = [
        backend.run({"image": inputs[start : start + batch_size]})
        for start in range(0, len(inputs), batch_size)
    ]
    return {
        name: np.concatenate([np.asarray(part[name], dtype=np.float32) for part in parts])
        for name in parts[0]
    }


def see(backend: Backend, images: npt.NDArray[np.uint8], spec: PreprocessSpec, name: str) -> View:
    """Logits and features of the images under the named view."""
    stress = None if name == AS_IS else name
    out = run_backend(backend, preprocess_all(images, spec, stress))
    return View(out["logits"], out["features"])


def views_of(
    backend: Backend,
    images: npt.NDArray[np.uint8],
    spec: PreprocessSpec,
    names: Iterable[str] = ALL_VIEWS,
) -> dict[str, View]:
    """A view per name."""
    return {name: see(backend, images, spec, name) for name in names}


@dataclass(frozen=True, slots=True)
class Binary:
    """Truth and calibrated probability of the positive class for one view."""

    positive: npt.NDArray[np.bool_]
    score: npt.NDArray[np.float64]
    threshold: float


def binary_metrics(
    data: Binary, groups: npt.NDArray[np.integer], *, samples: int = 1000
) -> dict[str, Metric]:
    """AUC, sensitivity and specificity with 95 % intervals; patients are resampled whole."""

    def area(rows: npt.NDArray[np.int64]) -> float:
        return auc(data.positive[rows], data.score[rows])

    def rate(which: int, rows: npt.NDArray[np.int64]) -> float:
        rates = sensitivity_specificity(data.positive[rows], data.score[rows], data.threshold)
        return rates[which]

    everyone = np.arange(len(data.score))
    statistics: dict[str, Statistic] = {
        "auc": area,
        "sensitivity": lambda rows: rate(0, rows),
        "specificity": lambda rows: rate(1, rows),
    }
    found = {}
    for name, statistic in statistics.items():
        bounds = Interval(np.nan, np.nan)
        if samples:
            bounds = bootstrap_interval(statistic, len(everyone), groups=groups, samples=samples)
        found[name] = _metric(statistic(everyone), bounds)
    return found


def _metric(value: float, bounds: Interval) -> Metric:
    low, high = (None if math.isnan(b) else round(b, 4) for b in bounds)
    return Metric(value=round(value, 4), low=low, high=high)


def patient_numbers(groups: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Integer per row, equal for rows of one patient."""
    return np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64)


def report(
    manifest: Manifest,
    views: dict[str, View],
    data: LabelledImages,
    positive: int,
    *,
    samples: int = 1000,
) -> dict[str, dict[str, Metric]]:
    """Manifest metrics: `dev` with calibration and sets, `dev/<stress>` for each transform."""
    truth = data.labels == positive
    groups = patient_numbers(data.groups)
    threshold = manifest.thresholds[manifest.labels[positive].code]
    found: dict[str, dict[str, Metric]] = {}
    for name, view in views.items():
        probability = softmax(view.logits, manifest.calibration.temperature)
        binary = Binary(truth, probability[:, positive], threshold)
        key = "dev" if name == AS_IS else f"dev/{name}"
        found[key] = binary_metrics(binary, groups, samples=samples if name == AS_IS else 300)
        extra = _set_metrics(manifest, view, data.labels, probability)
        found[key] |= {k: Metric(value=round(v, 4)) for k, v in extra.items()}
    return found


def _set_metrics(
    manifest: Manifest,
    view: View,
    labels: npt.NDArray[np.int64],
    probability: npt.NDArray[np.float64],
) -> dict[str, float]:
    predicted = probability.argmax(axis=1)
    confidence = probability.max(axis=1)
    found = {"ece": expected_calibration_error(predicted == labels, confidence)}
    if manifest.conformal is not None:
        inside = (1.0 - probability) <= manifest.conformal.quantile
        found["set_coverage"] = float(inside[np.arange(len(labels)), labels].mean())
        found["set_size"] = float(inside.sum(axis=1).mean())
    if manifest.ood is not None:
        found["out_of_distribution"] = float(
            (distance(manifest, view.features) > manifest.ood.threshold).mean()
        )
    return found


def distance(manifest: Manifest, features: Floats) -> npt.NDArray[np.float64]:
    """Squared Mahalanobis distance of features [N, D] by the manifest's statistics."""
    if manifest.ood is None:
        raise ValueError(f"{manifest.name} has no out-of-distribution statistics")
    mean = np.array(manifest.ood.statistics["mean"])
    precision = np.array(manifest.ood.statistics["precision"]).reshape(len(mean), len(mean))
    return mahalanobis(features, mean, precision)


def outsiders(images: npt.NDArray[np.uint8], seed: int = 0) -> dict[str, npt.NDArray[np.uint8]]:
    """Pictures that must not get a score, made from the images [N, H, W] themselves."""
    rng = np.random.default_rng(seed)
    shape = images.shape
    shuffled = images.reshape(shape[0], 4, shape[1] // 4, 4, shape[2] // 4)
    order = rng.permutation(16)
    tiles = shuffled.transpose(1, 3, 0, 2, 4).reshape(16, shape[0], shape[1] // 4, shape[2] // 4)
    mixed = tiles[order].reshape(4, 4, shape[0], shape[1] // 4, shape[2] // 4)
    ramp = np.linspace(0, 255, shape[2], dtype=np.uint8)
    return {
        "inverted": (255 - images).astype(np.uint8),
        "upside_down": np.ascontiguousarray(images[:, ::-1]),
        "sideways": np.ascontiguousarray(images.transpose(0, 2, 1)[:, ::-1]),
        "shuffled_tiles": np.ascontiguousarray(
            mixed.transpose(2, 0, 3, 1, 4).reshape(shape[0], shape[1], shape[2])
        ),
        "noise": rng.integers(0, 256, shape, dtype=np.uint8),
        "ramp": np.broadcast_to(ramp, shape).copy(),
    }
