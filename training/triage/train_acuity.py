"""Trains an acuity model and writes its folder of the model repository.

    fenzhen train acuity --scale ktas --out models/artifacts/acuity_ktas/1

The sets are small, so every figure comes from repeated nested cross-validation and the shipped
model learns on all rows: it must not be measured on them again. Takes minutes on one CPU core.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from rich.progress import Progress

from knowledge_base.rules.acuity_scales import acuity_scales
from models.backends.onnx import OnnxBackend
from models.calibration import softmax
from models.manifest import (
    Calibration,
    Conformal,
    Label,
    Manifest,
    Metric,
    Population,
    TensorSpec,
)
from models.triage.acuity_features import feature_names, features_digest
from models.triage.acuity_request import Scale
from training.export import NETWORK, write_artifact
from training.text.readers import rows, training_set
from training.triage.acuity_config import AcuityConfig, ModelConfig, read_config
from training.triage.acuity_data import AcuityData, read_data
from training.triage.acuity_learn import LEVELS, Ensemble, fit
from training.triage.acuity_network import write_network
from training.triage.acuity_validate import Tuned, measured, out_of_fold, repeat, tune

_SECTIONS = {
    "What it is for": (
        "Probabilities of the five levels of an emergency department's scale for a patient at the "
        "triage desk: from the note, age, sex, way of arrival and vital signs, read into named "
        "features (findings, red flags, scores, presentations). Floors from rules and scores stand "
        "above it: it may raise urgency and never lowers it."
    ),
    "What it is not for": (
        "It does not decide whether somebody should come (that is disposition), it makes no "
        "diagnosis, and it sends nobody home. Its answer is preliminary until a nurse or physician "
        "signs it. Where its prediction set is wide, a person must look."
    ),
    "How it was measured": (
        "Repeated, nested, stratified cross-validation; rows that say the same never lie on both "
        "sides. Learners, temperature, the cost of answering too low and the conformal quantile "
        "are fitted inside each fold. `with floors` is what a patient gets. Intervals are "
        "bootstraps over rows of the mean over repeats. Not covered by the folds: the word lists "
        "of the presentations and the floors were written with rows of these sets in view, and the "
        "learners' settings were chosen among few on the same rows, so the figures are a little "
        "too good."
    ),
    "Known weaknesses": (
        "Level 1 is rare in both sets. Learned from English notes of one country each; Chinese "
        "notes are read through the same lexicon and presentations, without a measurement of "
        "their own. KTAS: adults only, notes of about two words, and nurses and experts agree in "
        "85 %, so a part of the errors is the label's. ESI: practice cases of a handbook, not "
        "visits."
    ),
}


def train(
    config_path: Path, data_dir: Path, out_dir: Path, scale: str, *, smoke: bool = False
) -> dict[str, dict[str, float]]:
    """Train, measure and write the artifact into `out_dir`; returns the metrics.

    `smoke`: 120 rows of each set, few trees and one repeat, to show that all parts fit. Raises
    OSError where data or configuration is missing, ValueError for a scale without a model.
    """
    config = read_config(config_path)
    if scale not in config.models:
        raise ValueError(f"no acuity model for the scale {scale!r}")
    chosen, model = cast(Scale, scale), config.models[scale]
    if smoke:
        config = config.model_copy(update={"repeats": 1, "inner_folds": 2})
        model = model.model_copy(
            update={"folds": 2, "forest": model.forest.model_copy(update={"trees": 5})}
        )
    data = read_data(model, data_dir, 120 if smoke else None)
    with Progress() as progress:
        stage = progress.add_task("cross-validation", total=config.repeats * model.folds + 1)
        repeats = [
            repeat(
                data, config, model, chosen, config.seed + number, lambda: progress.advance(stage)
            )
            for number in range(config.repeats)
        ]
        everything = np.arange(len(data))
        held = out_of_fold(data, everything, model, config.inner_folds, config.seed)
        tuned = tune(held, data.levels, config, model)
        ensemble = fit(data, everything, model, config.seed)
        progress.advance(stage)
    metrics = measured(data, repeats)
    _write(out_dir, data, ensemble, tuned, config, model, chosen, metrics, data_dir)
    return {name: {k: m.value for k, m in group.items()} for name, group in metrics.items()}


def _write(
    out_dir: Path, data: AcuityData, ensemble: Ensemble, tuned: Tuned, config: AcuityConfig,
    model: ModelConfig, scale: Scale, metrics: dict[str, dict[str, Metric]], data_dir: Path,
) -> None:  # fmt: skip
    out_dir.mkdir(parents=True, exist_ok=True)
    write_network(ensemble, out_dir / NETWORK)
    manifest = Manifest(
        name=model.name,
        version=int(out_dir.name) if out_dir.name.isdigit() else 1,
        task="acuity",
        title={"zh": model.title["zh"], "en": model.title["en"]},
        inputs=[TensorSpec(name="features", dtype="float32", shape=[-1, len(feature_names())])],
        outputs=[TensorSpec(name="logits", dtype="float32", shape=[-1, LEVELS])],
        labels=[
            Label(code=str(number), zh=level.name["zh"], en=level.name["en"])
            for number, level in acuity_scales()[scale].levels.items()
        ],
        preprocessing={"features_digest": features_digest()},
        calibration=Calibration(temperature=tuned.temperature),
        thresholds={"under_cost": tuned.under_cost},
        conformal=Conformal(method="lac", coverage=config.coverage, quantile=tuned.quantile),
        languages=["en", "zh"],
        population=Population(),
        training_sets=[training_set(data_dir, name, _rows(data_dir, name)) for name in model.sets],
        metrics=metrics,
        parity=_parity(out_dir / NETWORK, data, ensemble),
        files={},
        notes=[
            "The threshold `under_cost` is what answering a level too low costs, against too high.",
            f"{len(feature_names())} features; models/triage/acuity_features.py names them.",
        ],
    )
    write_artifact(out_dir, manifest, _SECTIONS)


def _rows(data_dir: Path, name: str) -> int:
    return sum(1 for _ in rows(data_dir, name))


def _parity(network: Path, data: AcuityData, ensemble: Ensemble) -> dict[str, float]:
    """Largest differences of probabilities: learned against exported, batch against alone."""
    backend = OnnxBackend(network)
    some = data.features[:: max(1, len(data) // 200)]
    together = softmax(backend.run({"features": some})["logits"])
    alone = np.concatenate(
        [softmax(backend.run({"features": row[None, :]})["logits"]) for row in some]
    )
    expected = ensemble.probabilities(some)
    return {
        "learned_onnx_max_abs": float(np.abs(together - expected).max()),
        "batch_invariance_max_abs": float(np.abs(together - alone).max()),
        "rows": float(len(some)),
    }
