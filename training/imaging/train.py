"""Trains an imaging classifier and writes a folder that the model repository can serve.

    train(config, data, out) ->  out/checkpoints/NAME/member0/{checkpoint.pt, best.pt}
                                 out/NAME/VERSION/{model.onnx, manifest.json, MODEL_CARD.md}

Three sets of patients, kept apart: most of `train` fits the network; the held-out part of `train`
stops it early and fixes temperature, threshold, prediction sets and out-of-distribution limit;
`dev` is only reported.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console

from models import calibration
from models.backends.onnx import OnnxBackend
from models.imaging.decode import DecodedImage
from models.imaging.preprocess import to_unit_float
from models.imaging.quality import check_quality
from models.manifest import (
    Calibration,
    Conformal,
    Manifest,
    Metric,
    OutOfDistribution,
    TensorSpec,
    write_manifest,
)
from models.repository import sha256_of
from training.imaging import calibrate, evaluate, export, saliency
from training.imaging.card import write_card
from training.imaging.config import ImagingConfig, read_config
from training.imaging.data import LabelledImages, preprocess_all, read_zip, split_by_group
from training.imaging.fit import Fitter
from training.imaging.net import SalientResNet

Floats = npt.NDArray[np.float32]
_BATCH_TOLERANCE = 1e-5


def train(
    config_path: Path, data_dir: Path, out_dir: Path, *, resume: bool = False, smoke: bool = False
) -> dict[str, dict[str, float]]:
    """Metric values by view, as in the manifest. `smoke` runs everything on a few images.

    Raises FileNotFoundError without the data, pydantic.ValidationError for a wrong config.
    """
    config = read_config(config_path)
    if smoke:
        config = _smoke(config)
    if config.optimisation.threads:
        torch.set_num_threads(config.optimisation.threads)
    console = Console(stderr=True)
    full = read_zip(data_dir / config.data.train, config.classes, limit=60 if smoke else None)
    dev = read_zip(data_dir / config.data.dev, config.classes, limit=24 if smoke else None)
    rows, held = split_by_group(
        full.labels, full.groups, config.data.held_out_fraction, config.data.held_out_seed
    )
    fitted, held_out = full.take(rows), full.take(held)
    console.print(f"{len(fitted)} images to fit, {len(held_out)} held out, {len(dev)} to report")
    members = []
    for index in range(len(config.optimisation.epochs)):
        folder = out_dir / "checkpoints" / config.name / f"member{index}"
        fitter = Fitter(config, fitted, held_out, folder, index)
        members.append(fitter.run(resume=resume, report=console.print))
    target = out_dir / config.name / str(config.version)
    manifest = package(
        config, members, fitted, held_out, dev, target, samples=50 if smoke else 1000
    )
    return {
        view: {name: metric.value for name, metric in values.items()}
        for view, values in manifest.metrics.items()
    }


def package(
    config: ImagingConfig,
    members: list[SalientResNet],
    fitted: LabelledImages,
    held_out: LabelledImages,
    dev: LabelledImages,
    folder: Path,
    *,
    samples: int = 1000,
) -> Manifest:
    """Export, calibrate on `held_out`, measure on `dev`, and write the model's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    spec, threads = config.preprocessing, config.optimisation.threads
    inputs = preprocess_all(fitted.images, spec)
    pooled = export.pooled_features(members, inputs)
    projection = calibrate.fit_projection(pooled, config.operating.ood_components)
    served = export.ServedNet(members, projection)
    export.export_onnx(served, spec.size, path)
    backend = OnnxBackend(path, threads=threads)
    own = evaluate.run_backend(backend, inputs)["features"]
    seen = evaluate.views_of(backend, held_out.images, spec)
    temperature, bias = _platt(seen, held_out.labels, config.positive)
    # The bias goes into the graph: softmax(logits / temperature) is then the whole calibration.
    served.shift(config.positive, bias)
    export.export_onnx(served, spec.size, path)
    backend = OnnxBackend(path, threads=threads)
    shifted = {
        name: calibrate.View(_shifted(view.logits, config.positive, bias), view.features)
        for name, view in seen.items()
    }
    sample = backend.run({"image": inputs[:1]})
    shapes = {name: [-1, *value.shape[1:]] for name, value in sample.items()}
    manifest = _operate(config, temperature, shifted, own, held_out, shapes, folder)
    views = evaluate.views_of(backend, dev.images, spec)
    metrics = evaluate.report(manifest, views, dev, config.positive, samples=samples)
    metrics["outsiders"] = _outsiders(manifest, backend, dev, config)
    metrics["saliency"] = _saliency(config, backend, dev)
    parity = _parity(served, backend, preprocess_all(dev.images[:64], spec))
    finished = manifest.model_copy(update={"metrics": metrics, "parity": parity})
    write_manifest(folder, finished)
    write_card(folder / "MODEL_CARD.md", finished)
    return finished


def _platt(
    views: dict[str, calibrate.View], labels: npt.NDArray[np.int64], positive: int
) -> tuple[float, float]:
    logits = np.concatenate([view.logits for view in views.values()])
    truth = np.tile(labels == positive, len(views))
    return calibrate.fit_platt(logits[:, positive] - logits[:, 0], truth)


def _shifted(logits: npt.NDArray[np.floating], positive: int, bias: float) -> Floats:
    out = np.array(logits, dtype=np.float32)
    out[:, positive] += np.float32(bias)
    return out


def _operate(
    config: ImagingConfig,
    temperature: float,
    views: dict[str, calibrate.View],
    own_features: Floats,
    held_out: LabelledImages,
    shapes: dict[str, list[int]],
    folder: Path,
) -> Manifest:
    """The manifest without its metrics: what the held-out patients decide."""
    options, labels = config.operating, held_out.labels
    logits = np.concatenate([view.logits for view in views.values()])
    features = np.concatenate([view.features for view in views.values()])
    everyone = np.tile(labels, len(views))
    scores = {
        name: calibration.softmax(view.logits, temperature)[:, config.positive]
        for name, view in views.items()
    }
    threshold = calibrate.choose_threshold(
        scores,
        labels == config.positive,
        min_sensitivity=options.min_sensitivity,
        min_specificity=options.min_specificity,
        lean=options.lean,
    )
    quantile = calibrate.conformal_quantile(
        calibration.softmax(logits, temperature), everyone, options.coverage
    )
    mean, precision = calibrate.fit_gaussian(own_features)
    limit = np.quantile(calibration.mahalanobis(features, mean, precision), options.ood_quantile)
    statistics = {
        "mean": [float(f"{v:.6g}") for v in mean],
        "precision": [float(f"{v:.6g}") for v in precision.ravel()],
    }
    size = config.preprocessing.size
    return Manifest(
        name=config.name,
        version=config.version,
        task="imaging",
        title=config.title,
        inputs=[TensorSpec(name="image", dtype="float32", shape=[-1, 1, size, size])],
        outputs=[
            TensorSpec(name=name, dtype="float32", shape=shapes[name]) for name in export.OUTPUTS
        ],
        labels=list(config.labels),
        preprocessing=asdict(config.preprocessing),
        calibration=Calibration(temperature=round(temperature, 5)),
        thresholds={config.labels[config.positive].code: round(threshold, 5)},
        conformal=Conformal(coverage=options.coverage, quantile=round(quantile, 6)),
        ood=OutOfDistribution(
            method="mahalanobis", threshold=round(float(limit), 3), statistics=statistics
        ),
        population=config.population,
        training_sets=list(config.training_sets),
        files={"model.onnx": sha256_of(folder / "model.onnx")},
        notes=[
            "thresholds are on softmax(logits / temperature) of the label; at or above is positive",
            "ood.threshold is a squared Mahalanobis distance of `features`; above it, no score",
            "saliency is in logits: its mean is logits[positive] - logits[0]",
        ],
    )


def _outsiders(
    manifest: Manifest, backend: OnnxBackend, dev: LabelledImages, config: ImagingConfig
) -> dict[str, Metric]:
    """Share of pictures out of the domain that get no score: by distance, and with quality."""
    found: dict[str, Metric] = {}
    limit = manifest.ood.threshold if manifest.ood is not None else float("inf")
    for name, images in evaluate.outsiders(dev.images[:: max(1, len(dev) // 100)]).items():
        view = evaluate.see(backend, images, config.preprocessing, evaluate.AS_IS)
        far = evaluate.distance(manifest, view.features) > limit
        unfit = np.array([_unfit(image) for image in images])
        found[f"distance/{name}"] = Metric(value=round(float(far.mean()), 4))
        found[f"refused/{name}"] = Metric(value=round(float((far | unfit).mean()), 4))
    return found


def _unfit(image: npt.NDArray[np.uint8]) -> bool:
    decoded = DecodedImage(to_unit_float(image), "png")
    return any(issue.fatal for issue in check_quality(decoded))


def _saliency(
    config: ImagingConfig, backend: OnnxBackend, dev: LabelledImages
) -> dict[str, Metric]:
    positive = dev.labels == config.positive
    inputs = preprocess_all(dev.images, config.preprocessing)
    some = np.flatnonzero(positive)[:: max(1, int(positive.sum()) // 100)]
    maps = evaluate.run_backend(backend, inputs[some])["saliency"]
    correlations = [
        saliency.mean_rank_correlation(
            maps, saliency.randomised_maps(config, inputs[some], config.seed + 100 + i)
        )
        for i in range(5)
    ]
    blanked = evaluate.run_backend(backend, saliency.blank_centre(inputs))["logits"]
    found = {
        "randomised_weights_rank_correlation": float(np.mean(correlations)),
        "randomised_weights_max_abs_correlation": float(np.max(np.abs(correlations))),
        "central_share": saliency.central_share(maps),
        "auc_with_centre_blanked": saliency.surround_auc(positive, blanked),
    }
    return {name: Metric(value=round(value, 4)) for name, value in found.items()}


def _parity(served: export.ServedNet, backend: OnnxBackend, inputs: Floats) -> dict[str, float]:
    """torch against ONNX, and alone against in a batch."""
    together = evaluate.run_backend(backend, inputs, batch_size=len(inputs))
    alone = evaluate.run_backend(backend, inputs, batch_size=1)
    found = export.parity(served, together, inputs)
    found["max_abs_difference_in_batch"] = max(
        float(np.abs(together[name] - alone[name]).max()) for name in export.OUTPUTS
    )
    if found["max_abs_difference_in_batch"] > _BATCH_TOLERANCE:
        raise ValueError(f"answers depend on the batch: {json.dumps(found)}")
    return {name: float(f"{value:.3g}") for name, value in found.items()}


def _smoke(config: ImagingConfig) -> ImagingConfig:
    """Everything once, on a few images with a tiny network."""
    optimisation = config.optimisation.model_copy(
        update={"epochs": (1, 1), "samples_per_epoch": 32, "batch_size": 8, "precision": "fp32"}
    )
    net = config.net.model_copy(update={"widths": (8, 8, 16, 16), "blocks": (1, 1, 1, 1)})
    data = config.data.model_copy(update={"held_out_fraction": 0.3})
    update = {"optimisation": optimisation, "net": net, "data": data}
    return config.model_copy(update=update)
