"""From trained members to a served model: export, calibrate, measure, write manifest and card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models import calibration
from models.backends.onnx import OnnxBackend
from models.calibration import ood_score
from models.imaging.decode import DecodedImage, colour_spread, luminance
from models.imaging.preprocess import to_unit_float
from models.imaging.quality import check_quality
from models.manifest import Manifest, Metric, TensorSpec, write_manifest
from models.metrics import macro_auc
from models.repository import sha256_of
from training.imaging import calibrate, distance, evaluate, export, saliency
from training.imaging.card import write_card
from training.imaging.config import ImagingConfig
from training.imaging.data import LabelledImages, Labels, preprocess_all
from training.imaging.evaluate import AS_IS, Outputs, Reading
from training.imaging.net import SalientNet
from training.imaging.operating import Operating, decide, parts_of
from training.torch_program import add_program

Floats = npt.NDArray[np.float32]
_BATCH_TOLERANCE = 1e-5
_SAMPLE = 64


@dataclass(frozen=True)
class Trained:
    """Members and the rows that they never saw: all the same ones, or with `folds` each its own."""

    members: list[SalientNet]
    held_out: list[Labels]
    folds: bool

    def fitted(self, count: int) -> Labels:
        """Of `count` rows those that some member learned from."""
        if self.folds:
            return np.arange(count)
        return np.setdiff1d(np.arange(count), self.held_out[0])


def package(
    config: ImagingConfig,
    trained: Trained,
    full: LabelledImages,
    dev: LabelledImages | None,
    folder: Path,
    *,
    samples: int = 1000,
    torch_program: bool = False,
) -> Manifest:
    """Calibrate on what the members never saw, measure on `dev` (without one: there, too)."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    unseen = full.take(np.concatenate(trained.held_out if trained.folds else trained.held_out[:1]))
    fitted = full.take(trained.fitted(len(full)))
    inputs = preprocess_all(fitted.images, config.preprocessing)
    context = fitted.context if config.context else None
    projection = calibrate.fit_projection(
        distance.pooled(trained.members, config, inputs, context), config.operating.ood_components
    )
    raw = _views(config, trained, full, projection, evaluate.ALL_VIEWS)
    wanted = evaluate.ALL_VIEWS if config.operating.views == "stress" else (AS_IS,)
    operating = decide(config, {name: raw[name] for name in wanted}, unseen, full.labels)
    served = export.ServedNet(trained.members, projection)
    # Biases go into the graph: softmax(logits / temperature) is then the whole calibration.
    served.shift(operating.bias)
    export.export_onnx(served, config, path)
    backend = OnnxBackend(path, threads=config.optimisation.threads or 2)
    own = evaluate.run_backend(backend, inputs, context)
    manifest = _manifest(config, operating, own, folder)
    if trained.folds:
        limit = distance.limit_with_folds(config, trained.members, trained.held_out, full, own)
    else:
        limit = distance.limit(config, own, [outputs["features"] for outputs in raw.values()])
    manifest = manifest.model_copy(update={"ood": limit})
    if dev is not None or not trained.folds:
        report_on = unseen if dev is None else dev
        spec = config.preprocessing
        shown = evaluate.views_of(backend, report_on, spec, context=config.context)
        readings = [Reading(slice(None), operating.questions)]
    else:
        report_on = unseen
        shown, readings = _cross_fitted(config, trained.held_out, raw, unseen, full, wanted)
    metrics = evaluate.report(manifest, readings, shown, report_on, samples=samples)
    metrics["outsiders"] = _outsiders(manifest, backend, report_on, config)
    metrics["saliency"] = saliency.sanity(config, backend, report_on)
    measured_on = "dev" if dev is not None else "cross-validation" if trained.folds else "held-out"
    finished = manifest.model_copy(
        update={
            "metrics": metrics,
            "measured_on": measured_on,
            "parity": _parity(served, backend, report_on, config),
        }
    )
    write_manifest(folder, finished)
    write_card(folder / "MODEL_CARD.md", finished, config)
    if torch_program:
        rows = _rows(report_on, config)
        net, example = export.plain(served), export.example(config)
        finished = add_program(folder, net, example, rows, dynamic=(0,))
    return finished


def _views(
    config: ImagingConfig,
    trained: Trained,
    full: LabelledImages,
    projection: calibrate.Projection,
    names: Sequence[str],
) -> dict[str, Outputs]:
    """Outputs per view, without biases, for what no judge has seen.

    By all members together; or fold by fold, and then without features, since a member's own are
    not those that are served.
    """
    if not trained.folds:
        judges = [(trained.members, trained.held_out[0])]
    else:
        judges = [([m], rows) for m, rows in zip(trained.members, trained.held_out, strict=True)]
    parts = []
    for members, rows in judges:
        net = export.ServedNet(members, None if trained.folds else projection)
        part, spec = full.take(rows), config.preprocessing
        backend = export.exported(net, config)
        parts.append(evaluate.views_of(backend, part, spec, names, context=config.context))
    kept = [key for key in parts[0][AS_IS] if not (trained.folds and key == "features")]
    return {
        name: {key: np.concatenate([p[name][key] for p in parts]) for key in kept} for name in names
    }


def _cross_fitted(
    config: ImagingConfig,
    folds: Sequence[Labels],
    raw: Mapping[str, Outputs],
    unseen: LabelledImages,
    full: LabelledImages,
    wanted: Sequence[str],
) -> tuple[dict[str, Outputs], list[Reading]]:
    """Every fold as the operating point of the other folds reads it."""
    shown: dict[str, list[Outputs]] = {name: [] for name in raw}
    readings = []
    everyone = np.arange(len(unseen))
    for rows in parts_of(folds):
        others = np.setdiff1d(everyone, everyone[rows])
        elsewhere = {name: {k: v[others] for k, v in raw[name].items()} for name in wanted}
        operating = decide(config, elsewhere, unseen.take(others), full.labels)
        readings.append(Reading(rows, operating.questions))
        for name, outputs in raw.items():
            shown[name].append(operating.shifted({k: v[rows] for k, v in outputs.items()}))
    return {
        name: {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}
        for name, parts in shown.items()
    }, readings


def _manifest(
    config: ImagingConfig, operating: Operating, sample: Outputs, folder: Path
) -> Manifest:
    """The manifest without metrics and distance."""
    spec, first, own = config.preprocessing, config.first, operating.heads[0]
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
        column=first.column,
        labels=list(first.labels),
        groups=list(first.groups),
        heads=list(operating.heads[1:]),
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
        decoded = DecodedImage(luminance(image), "png", colour=colour_spread(image), rgb=image)
    else:
        decoded = DecodedImage(unit, "png")
    return any(issue.fatal for issue in check_quality(decoded, config.population.image_kind))


def _rows(data: LabelledImages, config: ImagingConfig) -> list[dict[str, Floats]]:
    """Some preprocessed pictures, one row each."""
    some = data.take(np.arange(0, len(data), max(1, len(data) // _SAMPLE)))
    inputs = {"image": preprocess_all(some.images, config.preprocessing)}
    if config.context:
        inputs["context"] = some.context
    return [{name: v[i : i + 1] for name, v in inputs.items()} for i in range(len(some))]


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
