"""From trained members to a served model: export, calibrate, measure, write manifest and card."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models import calibration
from models.backends.onnx import OnnxBackend
from models.calibration import ood_score
from models.imaging.decode import DecodedImage, colour_spread
from models.imaging.preprocess import to_unit_float
from models.imaging.quality import check_quality
from models.imaging.questions import Point, questions
from models.manifest import (
    Calibration,
    Conformal,
    Head,
    Manifest,
    Metric,
    OutOfDistribution,
    TensorSpec,
    write_manifest,
)
from models.metrics import macro_auc
from models.repository import sha256_of
from training.imaging import calibrate, evaluate, export, saliency
from training.imaging.card import write_card
from training.imaging.config import HeadConfig, ImagingConfig
from training.imaging.data import LabelledImages, Labels, preprocess_all
from training.imaging.evaluate import AS_IS, Outputs
from training.imaging.net import SalientResNet

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
_BATCH_TOLERANCE = 1e-5
_SAMPLE = 64


@dataclass(frozen=True)
class Trained:
    """Members and the rows that they never saw: all the same ones, or with `folds` each its own."""

    members: list[SalientResNet]
    held_out: list[Labels]
    folds: bool


def package(
    config: ImagingConfig,
    trained: Trained,
    full: LabelledImages,
    dev: LabelledImages | None,
    folder: Path,
    *,
    samples: int = 1000,
) -> Manifest:
    """Calibrate on what the members never saw, measure on `dev` (without one: there, too)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    unseen = full.take(np.concatenate(trained.held_out if trained.folds else trained.held_out[:1]))
    fitted = full.take(_fitted(trained, len(full)))
    inputs = preprocess_all(fitted.images, config.preprocessing)
    context = fitted.context if config.context else None
    projection = calibrate.fit_projection(
        _pooled(trained.members, config, inputs, context), config.operating.ood_components
    )
    views = evaluate.ALL_VIEWS if config.operating.views == "stress" else (AS_IS,)
    seen = _views(config, trained, full, projection, views)
    served = export.ServedNet(trained.members, projection)
    scaled = [_scaling(head, i, seen, unseen) for i, head in enumerate(config.heads)]
    # Biases go into the graph: softmax(logits / temperature) is then the whole calibration.
    bias = np.concatenate([s.bias for s in scaled]).astype(np.float32)
    served.shift(bias)
    export.export_onnx(served, config, path)
    backend = OnnxBackend(path, threads=config.optimisation.threads or 2)
    seen = {name: _shifted(outputs, config, scaled) for name, outputs in seen.items()}
    own = evaluate.run_backend(backend, inputs, context)
    manifest = _manifest(config, scaled, seen, unseen, full, own, folder)
    manifest = manifest.model_copy(
        update={"ood": _distance(config, trained, full, backend, own["features"])}
    )
    report_on = dev if dev is not None else unseen
    shown = (
        evaluate.views_of(backend, dev, config.preprocessing, context=config.context)
        if dev is not None
        else _measured_views(config, trained, full, projection, scaled)
    )
    metrics = evaluate.report(manifest, questions(manifest), shown, report_on, samples=samples)
    metrics["outsiders"] = _outsiders(manifest, backend, report_on, config)
    metrics["saliency"] = saliency.sanity(config, backend, report_on)
    finished = manifest.model_copy(
        update={"metrics": metrics, "parity": _parity(served, backend, report_on, config)}
    )
    write_manifest(folder, finished)
    write_card(folder / "MODEL_CARD.md", finished, config)
    return finished


def _fitted(trained: Trained, count: int) -> Labels:
    if trained.folds:
        return np.arange(count)
    return np.setdiff1d(np.arange(count), trained.held_out[0])


def _pooled(
    members: Sequence[SalientResNet], config: ImagingConfig, inputs: Floats, context: Floats | None
) -> Floats:
    """The members' pooled features side by side [N, D], of the graph as it is exported."""
    backend = _exported(export.ServedNet(members), config)
    return evaluate.run_backend(backend, inputs, context)["features"]


def _exported(net: export.ServedNet, config: ImagingConfig) -> OnnxBackend:
    """The network as its exported file computes it; the file itself is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export.export_onnx(net, config, path)
        return OnnxBackend(path, threads=config.optimisation.threads or 2)


def _views(
    config: ImagingConfig,
    trained: Trained,
    full: LabelledImages,
    projection: calibrate.Projection | None,
    names: Sequence[str],
) -> dict[str, Outputs]:
    """Outputs per view for what no judge has seen: by all members together, or fold by fold."""
    if not trained.folds:
        judges = [(trained.members, trained.held_out[0])]
    else:
        judges = [([m], rows) for m, rows in zip(trained.members, trained.held_out, strict=True)]
        projection = None
    parts = []
    for members, rows in judges:
        backend = _exported(export.ServedNet(members, projection), config)
        part, spec = full.take(rows), config.preprocessing
        parts.append(evaluate.views_of(backend, part, spec, names, context=config.context))
    return {
        name: {key: np.concatenate([p[name][key] for p in parts]) for key in parts[0][name]}
        for name in names
    }


def _measured_views(
    config: ImagingConfig,
    trained: Trained,
    full: LabelledImages,
    projection: calibrate.Projection,
    scaled: Sequence[Scaling],
) -> dict[str, Outputs]:
    """Cross-validated outputs under every stress view, for a set without a dev part."""
    views = _views(config, trained, full, projection, evaluate.ALL_VIEWS)
    shifted = {name: _shifted(outputs, config, scaled) for name, outputs in views.items()}
    # Features of one member are not the served ones: no distance is reported for them.
    return {
        name: {key: value for key, value in outputs.items() if key != "features"}
        for name, outputs in shifted.items()
    }


@dataclass(frozen=True)
class Scaling:
    """Of one head: calibration on what was never seen."""

    temperature: float
    bias: Doubles


def _scaling(
    head: HeadConfig, number: int, seen: dict[str, Outputs], unseen: LabelledImages
) -> Scaling:
    key = export.logits_name(number, head)
    labels = unseen.labels[:, number]
    known = labels >= 0
    logits = np.concatenate([outputs[key][known] for outputs in seen.values()])
    temperature, bias = calibrate.fit_scaling(logits, np.tile(labels[known], len(seen)))
    return Scaling(temperature, bias)


def _shifted(outputs: Outputs, config: ImagingConfig, scaled: Sequence[Scaling]) -> Outputs:
    out = dict(outputs)
    for number, (head, scaling) in enumerate(zip(config.heads, scaled, strict=True)):
        key = export.logits_name(number, head)
        out[key] = (outputs[key] + scaling.bias).astype(np.float32)
    return out


def _manifest(
    config: ImagingConfig,
    scaled: Sequence[Scaling],
    seen: dict[str, Outputs],
    unseen: LabelledImages,
    full: LabelledImages,
    sample: Outputs,
    folder: Path,
) -> Manifest:
    """The manifest without metrics and distance: what the held-out patients decide."""
    spec, first = config.preprocessing, config.first
    heads = [_head(config, number, scaled, seen, unseen, full)
             for number in range(len(config.heads))]  # fmt: skip
    own = heads[0]
    inputs = [TensorSpec(name="image", dtype="float32",
                         shape=[-1, spec.channels, spec.size, spec.size])]  # fmt: skip
    if config.context:
        inputs.append(TensorSpec(name="context", dtype="float32",
                                 shape=[-1, config.context_width]))  # fmt: skip
    return Manifest(
        name=config.name,
        version=config.version,
        task="imaging",
        title=config.title,
        inputs=inputs,
        outputs=[
            TensorSpec(name=name, dtype="float32", shape=[-1, *sample[name].shape[1:]])
            for name in export.output_names(config)
        ],
        labels=list(first.labels),
        groups=list(first.groups),
        heads=heads[1:],
        preprocessing=asdict(spec),
        calibration=own.calibration,
        thresholds=own.thresholds,
        conformal=own.conformal,
        answer_weights=own.answer_weights,
        population=config.population,
        training_sets=list(config.training_sets),
        files={"model.onnx": sha256_of(folder / "model.onnx")},
        notes=[
            "thresholds are on softmax(logits / temperature), summed over the label or group; at"
            " or above is positive",
            "ood.threshold is a squared Mahalanobis distance of `features`; above it, no score",
            "saliency holds a map per label, in logits: its mean is the label's logit from the"
            " picture",
        ],
    )


def _head(
    config: ImagingConfig,
    number: int,
    scaled: Sequence[Scaling],
    seen: dict[str, Outputs],
    unseen: LabelledImages,
    full: LabelledImages,
) -> Head:
    head, scaling, options = config.heads[number], scaled[number], config.operating
    key = export.logits_name(number, head)
    labels = unseen.labels[:, number]
    known = labels >= 0
    by_view = {
        name: calibration.softmax(outputs[key][known], scaling.temperature)
        for name, outputs in seen.items()
    }
    thresholds = {}
    if head.threshold_for is not None:
        point = Point(head.threshold_for, {"zh": "", "en": ""}, head.positive, 0.0)
        thresholds[head.threshold_for] = round(
            calibrate.choose_threshold(
                {name: point.score(p) for name, p in by_view.items()},
                np.isin(labels[known], head.positive),
                min_sensitivity=options.min_sensitivity,
                min_specificity=options.min_specificity,
                lean=options.lean,
            ),
            5,
        )
    weights: list[float] = []
    if head.answer_weights == "prior":
        column = full.labels[:, number]
        shares = np.bincount(column[column >= 0], minlength=len(head.labels)) / len(full)
        weights = [round(float(1.0 / (len(shares) * share)), 4) for share in shares]
    quantile = calibrate.conformal_quantile(
        np.concatenate(list(by_view.values())),
        np.tile(labels[known], len(by_view)),
        options.coverage,
    )
    return Head(
        code=head.code,
        zh=head.zh,
        en=head.en,
        output=key,
        labels=list(head.labels),
        groups=list(head.groups),
        calibration=Calibration(temperature=round(scaling.temperature, 5)),
        thresholds=thresholds,
        conformal=Conformal(coverage=options.coverage, quantile=round(quantile, 6)),
        answer_weights=weights,
        research_only=head.research_only,
    )


def _distance(
    config: ImagingConfig,
    trained: Trained,
    full: LabelledImages,
    backend: OnnxBackend,
    own: Floats,
) -> OutOfDistribution:
    """Gaussian of the training images' features, and the limit by images never seen.

    With folds no image is new to all members. There the limit on training images is widened by
    how much farther a member's own held-out images lie than its training images.
    """
    mean, precision = calibrate.fit_gaussian(own)
    if trained.folds:
        limit = _quantile(config, own, mean, precision) * _widening(config, trained, full)
    else:
        part = full.take(trained.held_out[0])
        views = evaluate.views_of(backend, part, config.preprocessing, context=config.context)
        features = np.concatenate([outputs["features"] for outputs in views.values()])
        limit = _quantile(config, features, mean, precision)
    statistics = {
        "mean": [float(f"{v:.6g}") for v in mean],
        "precision": [float(f"{v:.6g}") for v in precision.ravel()],
    }
    return OutOfDistribution(
        method="mahalanobis", threshold=round(float(limit), 3), statistics=statistics
    )


def _quantile(
    config: ImagingConfig, features: Floats | Doubles, mean: Doubles, precision: Doubles
) -> float:
    distances = calibration.mahalanobis(features, mean, precision)
    return float(np.quantile(distances, config.operating.ood_quantile))


def _widening(config: ImagingConfig, trained: Trained, full: LabelledImages) -> float:
    ratios = []
    for member, held in zip(trained.members, trained.held_out, strict=True):
        fitted = np.setdiff1d(np.concatenate(trained.held_out), held)
        pooled = [
            _pooled([member], config, preprocess_all(part.images, config.preprocessing),
                    part.context if config.context else None)
            for part in (full.take(fitted), full.take(held))
        ]  # fmt: skip
        projection = calibrate.fit_projection(pooled[0], config.operating.ood_components)
        near, far = (calibrate.project(p, projection) for p in pooled)
        mean, precision = calibrate.fit_gaussian(near)
        ratios.append(
            _quantile(config, far, mean, precision) / _quantile(config, near, mean, precision)
        )
    return max(1.0, float(np.median(ratios)))


def _outsiders(
    manifest: Manifest, backend: OnnxBackend, data: LabelledImages, config: ImagingConfig
) -> dict[str, Metric]:
    """Share of altered pictures that get no score: by distance, and with quality."""
    found: dict[str, Metric] = {}
    assert manifest.ood is not None
    some = data.take(np.arange(0, len(data), max(1, len(data) // 100)))
    context = some.context if config.context else None
    for name, images in evaluate.altered(some.images).items():
        inputs = preprocess_all(images, config.preprocessing)
        outputs = evaluate.run_backend(backend, inputs, context)
        far = ood_score(outputs["features"], manifest.ood) > manifest.ood.threshold
        unfit = np.array([_unfit(image, config) for image in images])
        found[f"distance/{name}"] = Metric(value=round(float(far.mean()), 4))
        found[f"refused/{name}"] = Metric(value=round(float((far | unfit).mean()), 4))
    return found


def _unfit(image: npt.NDArray[np.uint8], config: ImagingConfig) -> bool:
    unit = to_unit_float(image)
    if unit.ndim == 3:
        decoded = DecodedImage(unit.mean(axis=2), "png", colour=colour_spread(image), rgb=image)
    else:
        decoded = DecodedImage(unit, "png")
    return any(issue.fatal for issue in check_quality(decoded, config.population.image_kind))


def _parity(
    served: export.ServedNet, backend: OnnxBackend, data: LabelledImages, config: ImagingConfig
) -> dict[str, float]:
    """torch with fp32 weights against the file with small ones, and alone against in a batch."""
    some = data.take(np.arange(0, len(data), max(1, len(data) // (4 * _SAMPLE))))
    inputs = {"image": preprocess_all(some.images, config.preprocessing)}
    if config.context:
        inputs["context"] = some.context
    context = inputs.get("context")
    names = export.output_names(config)
    together = evaluate.run_backend(backend, inputs["image"], context, batch_size=_SAMPLE)
    few = {name: value[:_SAMPLE] for name, value in inputs.items()}
    alone = evaluate.run_backend(backend, few["image"], few.get("context"), batch_size=1)
    reference = export.run(served, inputs)
    found = {
        f"max_abs_difference_{name}": float(np.abs(together[name] - wanted).max())
        for name, wanted in zip(names, reference, strict=True)
    }
    found["auc_change"] = _auc(some, together["logits"]) - _auc(some, reference[0])
    found["max_abs_difference_in_batch"] = max(
        float(np.abs(together[name][: len(alone[name])] - alone[name]).max()) for name in names
    )
    if found["max_abs_difference_in_batch"] > _BATCH_TOLERANCE:
        raise ValueError(f"answers depend on the batch: {found}")
    return {name: float(f"{value:.3g}") for name, value in found.items()}


def _auc(data: LabelledImages, logits: Floats) -> float:
    return macro_auc(data.first, calibration.softmax(logits))
