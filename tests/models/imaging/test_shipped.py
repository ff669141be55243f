"""Every shipped imaging model keeps what its manifest and card promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eval.run import run
from models.backends.onnx import OnnxBackend
from models.imaging.questions import questions
from models.repository import ModelEntry, ModelRepository

CONFIGS = Path(__file__).resolve().parents[3] / "training" / "configs"
REPOSITORY = ModelRepository(allow_noncommercial=True)
NAMES = sorted({e.manifest.name for e in REPOSITORY.entries() if e.manifest.task == "imaging"})
DEV = {
    "cxr_pneumonia": "cxr_pneumonia.dev.zip",
    "ct_nodule": "ct_nodule.dev.zip",
    "skin_lesion": "skin_ham10000.dev.zip",
    "retinamnist": "retinamnist.npz",
}
"""Dev parts, by model; the others have none and report cross-validated figures."""
FLOORS = {
    "skin_lesion": {"auc": 0.92, "balanced_accuracy": 0.65},
    "fundus_dr": {"joint_accuracy": 0.55, "quadratic_kappa": 0.7},
    "cxr_pneumonia": {"auc": 0.995, "sensitivity": 0.95, "specificity": 0.85},
    "retinamnist": {"auc": 0.75, "accuracy": 0.54},
    "ct_nodule": {"auc": 0.975, "sensitivity": 0.95, "specificity": 0.9},
}


@pytest.fixture(params=NAMES)
def entry(request: pytest.FixtureRequest) -> ModelEntry:
    found = REPOSITORY.get(request.param)
    found.verify()
    return found


def test_it_is_small_licensed_and_the_same_alone_and_in_a_batch(entry: ModelEntry) -> None:
    manifest = entry.manifest
    assert entry.network.stat().st_size < 12_000_000
    assert all(s.licence and s.source for s in manifest.training_sets)
    assert manifest.parity["max_abs_difference_in_batch"] <= 1e-5
    rng = np.random.default_rng(0)
    inputs = {
        spec.name: rng.normal(size=(5, *spec.shape[1:])).astype(np.float32)
        for spec in manifest.inputs
    }
    backend = OnnxBackend(entry.network)
    together = backend.run(inputs)
    alone = backend.run({name: value[3:4] for name, value in inputs.items()})
    for output in manifest.outputs:
        assert list(together[output.name].shape[1:]) == output.shape[1:]
        np.testing.assert_allclose(together[output.name][3:4], alone[output.name], atol=1e-5)


def test_every_question_has_labels_a_set_and_probabilities_that_sum_to_one(
    entry: ModelEntry,
) -> None:
    backend, manifest = OnnxBackend(entry.network), entry.manifest
    zeros = {s.name: np.zeros((2, *s.shape[1:]), np.float32) for s in manifest.inputs}
    outputs = backend.run(zeros)
    for question in questions(manifest):
        p = question.probabilities(outputs)
        assert p.shape == (2, len(question.labels))
        np.testing.assert_allclose(p.sum(axis=1), 1.0)
        assert question.conformal is not None
        assert question.conformal.coverage == 0.9
    assert manifest.ood is not None
    assert manifest.population.image_kind is not None


def test_the_maps_follow_what_was_learned(entry: ModelEntry) -> None:
    sanity = entry.manifest.metrics["saliency"]
    assert abs(sanity["randomised_weights_rank_correlation"].value) < 0.25
    assert sanity["randomised_weights_max_abs_correlation"].value < 0.4


def test_the_card_is_what_the_manifest_gives(entry: ModelEntry) -> None:
    pytest.importorskip("torch")
    from training.imaging.card import render
    from training.imaging.config import read_config

    config = read_config(CONFIGS / f"{entry.manifest.name}.yaml")
    assert entry.card == render(entry.manifest, config)


def test_the_measured_figures_reach_what_is_asked_of_them(entry: ModelEntry) -> None:
    manifest = entry.manifest
    assert (manifest.measured_on == "dev") == (manifest.name in DEV)
    for metric, floor in FLOORS.get(manifest.name, {}).items():
        assert manifest.metrics["dev"][metric].value >= floor, metric


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(DEV) & set(NAMES)))
def test_dev_gives_the_figures_of_the_manifest(data_dir: Path, name: str) -> None:
    result = run("imaging", data_dir / "imaging" / DEV[name], task=name, repository=REPOSITORY)
    claimed = REPOSITORY.get(name).manifest.metrics["dev"]
    for metric in ("auc", "sensitivity", "specificity", "set_coverage"):
        if metric in claimed:
            assert result.metrics[metric] == pytest.approx(claimed[metric].value, abs=3e-3), metric
    for metric, floor in FLOORS.get(name, {}).items():
        assert result.metrics[metric] >= floor, metric
